"""TombstoneTable in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from app.domain.images import Tombstone
from app.tables.serializer import time_to_text
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.rows import first, from_row, insert

_RETENTION = timedelta(days=90)

_FIND_IMAGE = "SELECT 1 FROM images WHERE owner_id = ? AND id = ?"
_REMOVE = "DELETE FROM tombstones WHERE owner_id = ? AND image_id = ?"
_FIND = "SELECT * FROM tombstones WHERE owner_id = ? AND image_id = ?"
_OPEN = "SELECT * FROM tombstones WHERE closed_at IS NULL AND deleted_at < ? ORDER BY deleted_at LIMIT ?"
_CLOSE = "UPDATE tombstones SET closed_at = ? WHERE owner_id = ? AND image_id = ? AND closed_at IS NULL"
_REMOVE_EXPIRED = "DELETE FROM tombstones WHERE closed_at <= ?"


class SqliteTombstoneTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add_tombstone(self, tombstone: Tombstone) -> bool:
        def add(writer: sqlite3.Connection) -> bool:
            if writer.execute(_FIND_IMAGE, (tombstone.owner_id, tombstone.image_id)).fetchone():
                return False
            insert(writer, "tombstones", tombstone, on_conflict="ON CONFLICT DO NOTHING")
            return True

        return await self._database.write(add)

    async def remove_tombstone(self, tombstone: Tombstone) -> None:
        await self._database.execute(_REMOVE, tombstone.owner_id, tombstone.image_id)

    async def find_tombstone(self, owner_id: str, image_id: str) -> Tombstone | None:
        return first(Tombstone, await self._database.read(_FIND, owner_id, image_id))

    async def open_tombstones(self, *, deleted_before: datetime, limit: int) -> Sequence[Tombstone]:
        rows = await self._database.read(_OPEN, time_to_text(deleted_before), limit)
        return [from_row(Tombstone, row) for row in rows]

    async def close_tombstone(self, tombstone: Tombstone, *, now: datetime) -> None:
        def close(writer: sqlite3.Connection) -> None:
            writer.execute(_REMOVE_EXPIRED, (time_to_text(now - _RETENTION),))
            writer.execute(_CLOSE, (time_to_text(now), tombstone.owner_id, tombstone.image_id))

        await self._database.write(close)
