"""CounterTable in SQLite."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from app.domain.counters import WindowCount
from app.tables.serializer import time_from_text, time_to_text
from app.tables.sqlite.database import SqliteDatabase

_INCREMENT = """
    INSERT INTO counters VALUES (?, 1, ?) ON CONFLICT (key) DO UPDATE SET count = count + 1 RETURNING count, resets_at
"""
_CURRENT = "SELECT count FROM counters WHERE key = ? AND resets_at > ?"
_RESET = "DELETE FROM counters WHERE key = ?"
_REMOVE_EXPIRED = "DELETE FROM counters WHERE resets_at <= ?"


class SqliteCounterTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def increment(self, key: str, *, now: datetime, window_seconds: int) -> WindowCount:
        def increment(writer: sqlite3.Connection) -> WindowCount:
            # A window that ended counts as missing. Deleting it here also keeps the table small.
            writer.execute(_REMOVE_EXPIRED, (time_to_text(now),))
            values = (key, time_to_text(now + timedelta(seconds=window_seconds)))
            count, resets_at = writer.execute(_INCREMENT, values).fetchone()
            return WindowCount(count, time_from_text(resets_at))

        return await self._database.write(increment)

    async def current(self, key: str, *, now: datetime) -> int:
        rows = await self._database.read(_CURRENT, key, time_to_text(now))
        return rows[0]["count"] if rows else 0

    async def reset(self, key: str) -> None:
        await self._database.execute(_RESET, key)
