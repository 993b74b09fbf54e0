"""Brings an older SQLite file to the newest version."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

from app.common.durability import sync_folder
from app.tables.sqlite.migrations import MIGRATIONS


def migrate(connection: sqlite3.Connection, *, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the file to the newest version in one transaction. Raises RuntimeError if the file is even newer.

    A copy of an existing file is made first, so that the previous version of the program can be started again.
    """
    version = _version(connection)
    if 0 < version < len(migrations):
        _back_up(connection, version)
    if version < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have migrated the file while this one waited for the lock.
            for statements in migrations[_version(connection) :]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(migrations)}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    if version > len(migrations):
        raise RuntimeError(
            f"The database has version {version}, but this program supports versions up to {len(migrations)}. Start "
            "the newer program that wrote it, or restore the copy that it made before the upgrade (see "
            "docs/operations.md)."
        )


def _back_up(connection: sqlite3.Connection, version: int) -> None:
    """Copy the file to `<name>.version-<number>`, unless an earlier start did."""
    path = Path(connection.execute("PRAGMA database_list").fetchone()["file"])
    backup = path.with_name(f"{path.name}.version-{version}")
    if backup.exists():
        return
    # Several processes may start at once, so that each makes a copy of its own. mkstemp makes it private.
    fd, draft = tempfile.mkstemp(prefix=f"{backup.name}.", dir=path.parent)
    try:
        connection.execute("VACUUM INTO ?", (draft,))
        # Another process may have migrated the file since its version was read.
        if _version(connection) == version:
            os.fsync(fd)
            os.link(draft, backup)
            sync_folder(path.parent)
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        Path(draft).unlink()


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
