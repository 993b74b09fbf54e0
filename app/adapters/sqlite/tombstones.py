"""Tombstones of deleted images in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from app.adapters.sqlite.database import SqliteDatabase
from app.adapters.sqlite.rows import time_from_text, time_to_text
from app.core.models import Tombstone

_KEPT = timedelta(days=90)

_FIND_IMAGE = "SELECT 1 FROM images WHERE owner_id = ? AND id = ?"
_ADD = "INSERT INTO tombstones VALUES (?, ?, ?, NULL) ON CONFLICT DO NOTHING"
_REMOVE = "DELETE FROM tombstones WHERE owner_id = ? AND image_id = ?"
_FIND = "SELECT * FROM tombstones WHERE owner_id = ? AND image_id = ?"
_OPEN = "SELECT * FROM tombstones WHERE closed_at IS NULL AND deleted_at < ? ORDER BY deleted_at LIMIT ?"
_CLOSE = "UPDATE tombstones SET closed_at = ? WHERE owner_id = ? AND image_id = ? AND closed_at IS NULL"
_REMOVE_OLD = "DELETE FROM tombstones WHERE closed_at <= ?"


class SqliteTombstoneTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add_tombstone(self, tombstone: Tombstone) -> bool:
        key = (tombstone.owner_id, tombstone.image_id)

        def add(writer: sqlite3.Connection) -> bool:
            if writer.execute(_FIND_IMAGE, key).fetchone():
                return False
            writer.execute(_ADD, (*key, time_to_text(tombstone.deleted_at)))
            return True

        return await self._database.write(add)

    async def remove_tombstone(self, tombstone: Tombstone) -> None:
        await self._database.execute(_REMOVE, tombstone.owner_id, tombstone.image_id)

    async def find_tombstone(self, owner_id: str, image_id: str) -> Tombstone | None:
        rows = await self._database.read(_FIND, owner_id, image_id)
        return _tombstone(rows[0]) if rows else None

    async def open_tombstones(self, *, deleted_before: datetime, limit: int) -> Sequence[Tombstone]:
        return [_tombstone(row) for row in await self._database.read(_OPEN, time_to_text(deleted_before), limit)]

    async def close_tombstone(self, tombstone: Tombstone, *, now: datetime) -> None:
        def close(writer: sqlite3.Connection) -> None:
            writer.execute(_REMOVE_OLD, (time_to_text(now - _KEPT),))
            writer.execute(_CLOSE, (time_to_text(now), tombstone.owner_id, tombstone.image_id))

        await self._database.write(close)


def _tombstone(row: sqlite3.Row) -> Tombstone:
    return Tombstone(row["owner_id"], row["image_id"], time_from_text(row["deleted_at"]))
