"""What concerns all the records of one owner, in SQLite."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from app.adapters.sqlite.database import SqliteDatabase
from app.adapters.sqlite.rows import time_from_text, time_to_text

_DELETION_KEPT = timedelta(days=90)

_CLOSE = """
    INSERT INTO closed_owners VALUES (?, ?) ON CONFLICT (owner_id) DO UPDATE SET until = max(until, excluded.until)
"""
_IS_CLOSED = "SELECT 1 FROM closed_owners WHERE owner_id = ?"
_FORGET = (
    "DELETE FROM usage WHERE owner_id = ?",
    "DELETE FROM direct_uploads WHERE owner_id = ?",
    "DELETE FROM once WHERE owner_id = ?",
    "DELETE FROM tombstones WHERE owner_id = ?",
    "DELETE FROM discrepancies WHERE owner_id = ?",
)
_FORGET_JOBS = "DELETE FROM jobs WHERE owner_id = ? AND id <> ?"
_REMOVE_OLD_DELETIONS = "DELETE FROM deleted_owners WHERE deleted_at <= ?"
_NOTE_DELETION = "INSERT INTO deleted_owners VALUES (?, ?) ON CONFLICT DO UPDATE SET deleted_at = excluded.deleted_at"
_DELETED_AT = "SELECT deleted_at FROM deleted_owners WHERE owner_id = ?"


class SqliteOwnerTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def close(self, owner_id: str, *, until: datetime) -> None:
        await self._database.execute(_CLOSE, owner_id, time_to_text(until))

    async def is_closed(self, owner_id: str) -> bool:
        return bool(await self._database.read(_IS_CLOSED, owner_id))

    async def forget(self, owner_id: str, *, but_job: str, deleted_at: datetime) -> None:
        def forget(writer: sqlite3.Connection) -> None:
            for statement in _FORGET:
                writer.execute(statement, (owner_id,))
            writer.execute(_FORGET_JOBS, (owner_id, but_job))
            writer.execute(_REMOVE_OLD_DELETIONS, (time_to_text(deleted_at - _DELETION_KEPT),))
            writer.execute(_NOTE_DELETION, (owner_id, time_to_text(deleted_at)))

        await self._database.write(forget)

    async def deleted_at(self, owner_id: str) -> datetime | None:
        rows = await self._database.read(_DELETED_AT, owner_id)
        return time_from_text(rows[0]["deleted_at"]) if rows else None
