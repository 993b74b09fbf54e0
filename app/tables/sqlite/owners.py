"""OwnerTable in SQLite."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from app.ports.clock import Clock
from app.tables.serializer import time_from_text, time_to_text
from app.tables.sqlite.database import SqliteDatabase

_DELETION_RETENTION = timedelta(days=90)

_BLOCK = """
    INSERT INTO blocked_owners VALUES (?, ?) ON CONFLICT (owner_id) DO UPDATE SET until = max(until, excluded.until)
"""
_REMOVE_EXPIRED_BLOCKS = "DELETE FROM blocked_owners WHERE until <= ?"
_IS_BLOCKED = "SELECT 1 FROM blocked_owners WHERE owner_id = ?"
_TABLES = ("usage", "direct_uploads", "idempotency", "tombstones", "discrepancies")
_DELETE_JOBS = "DELETE FROM jobs WHERE owner_id = ? AND id <> ?"
_REMOVE_EXPIRED_DELETIONS = "DELETE FROM deleted_owners WHERE deleted_at <= ?"
_ADD_DELETION = "INSERT INTO deleted_owners VALUES (?, ?) ON CONFLICT DO UPDATE SET deleted_at = excluded.deleted_at"
_DELETED_AT = "SELECT deleted_at FROM deleted_owners WHERE owner_id = ?"


class SqliteOwnerTable:
    def __init__(self, database: SqliteDatabase, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def block_writes(self, owner_id: str, *, until: datetime) -> None:
        def block(writer: sqlite3.Connection) -> None:
            writer.execute(_REMOVE_EXPIRED_BLOCKS, (time_to_text(self._clock()),))
            writer.execute(_BLOCK, (owner_id, time_to_text(until)))

        await self._database.write(block)

    async def is_blocked(self, owner_id: str) -> bool:
        return bool(await self._database.read(_IS_BLOCKED, owner_id))

    async def delete_owner_data(self, owner_id: str, *, except_job_id: str, deleted_at: datetime) -> None:
        def delete(writer: sqlite3.Connection) -> None:
            for table in _TABLES:
                writer.execute(f"DELETE FROM {table} WHERE owner_id = ?", (owner_id,))  # noqa: S608 - constant names
            writer.execute(_DELETE_JOBS, (owner_id, except_job_id))
            writer.execute(_REMOVE_EXPIRED_DELETIONS, (time_to_text(deleted_at - _DELETION_RETENTION),))
            writer.execute(_ADD_DELETION, (owner_id, time_to_text(deleted_at)))

        await self._database.write(delete)

    async def deleted_at(self, owner_id: str) -> datetime | None:
        rows = await self._database.read(_DELETED_AT, owner_id)
        return time_from_text(rows[0]["deleted_at"]) if rows else None
