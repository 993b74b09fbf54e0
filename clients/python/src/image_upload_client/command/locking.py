"""Excludes other processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


class LockedError(Exception):
    """Another process has had the lock for the whole time."""


@contextmanager
def locked(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold a lock, for which this waits up to `seconds`. Raises LockedError.

    The lock is that of an SQLite database: it works on every platform, and ends with the process, also if it is killed.
    """
    with closing(sqlite3.connect(path, timeout=seconds, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise LockedError from error
        yield
