"""Copies a database that other processes may be using."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def copy_database(source: Path, target: Path) -> None:
    """Write the state of `source` at one moment to the new file `target`, readable only by its owner.

    All committed transactions are included, also those that are still in the `-wal` file. Raises FileNotFoundError if
    there is no database, and sqlite3.Error if it cannot be read.
    """
    if not source.exists():
        raise FileNotFoundError(f"There is no database {source}.")
    target.touch(mode=0o600)
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.execute("PRAGMA busy_timeout = 5000")
        # All pages in one step: between steps, a commit of another process would make the copy start again.
        reader.backup(writer)


def close_into_one_file(path: Path) -> None:
    """Move everything from the `-wal` file into the database, so that the file alone is complete."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
