"""What was asked for under idempotency keys, in SQLite."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from functools import partial

from app.adapters.sqlite.database import SqliteDatabase
from app.adapters.sqlite.rows import once_from_row, once_to_values, time_to_text
from app.core.models import OnceRecord

_FIND = "SELECT * FROM once WHERE owner_id = ? AND key = ?"
_ADD = """
    INSERT INTO once VALUES (:owner_id, :key, :fingerprint, :result_id, :done, :leased_until, :expires_at)
    ON CONFLICT DO NOTHING
"""
_TAKE_OVER = """
    UPDATE once SET fingerprint = :fingerprint, result_id = :result_id, done = :done, leased_until = :leased_until,
                    expires_at = :expires_at
    WHERE owner_id = :owner_id AND key = :key AND done = 0
          AND result_id = :seen_result_id AND leased_until = :seen_leased_until
"""
_RENEW = """
    UPDATE once SET leased_until = ? WHERE owner_id = ? AND key = ? AND result_id = ? AND done = 0 RETURNING 1
"""
_FINISH = "UPDATE once SET done = 1 WHERE owner_id = ? AND key = ? AND result_id = ?"
_ABANDON = "DELETE FROM once WHERE owner_id = ? AND key = ? AND result_id = ? AND done = 0"
_REMOVE_EXPIRED = "DELETE FROM once WHERE expires_at <= ?"


class SqliteOnceTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def begin(self, record: OnceRecord, *, now: datetime) -> OnceRecord | None:
        there = await self._database.write(partial(_begin, record=record, now=now))
        return None if there.result_id == record.result_id else there

    async def find(self, owner_id: str, key: str) -> OnceRecord | None:
        rows = await self._database.read(_FIND, owner_id, key)
        return once_from_row(rows[0]) if rows else None

    async def renew(self, record: OnceRecord, *, leased_until: datetime) -> bool:
        values = (time_to_text(leased_until), record.owner_id, record.key, record.result_id)
        return bool(await self._database.execute(_RENEW, *values))

    async def take_over(self, record: OnceRecord, *, seen: OnceRecord) -> bool:
        there = await self._database.write(partial(_take_over, record=record, seen=seen))
        return there is not None and there.result_id == record.result_id

    async def finish(self, record: OnceRecord) -> None:
        await self._database.execute(_FINISH, record.owner_id, record.key, record.result_id)

    async def abandon(self, record: OnceRecord) -> None:
        await self._database.execute(_ABANDON, record.owner_id, record.key, record.result_id)


# Both return what is there then: whether it is the caller's own, also when it asks once more, its result_id tells.
def _begin(db: sqlite3.Connection, *, record: OnceRecord, now: datetime) -> OnceRecord:
    db.execute(_REMOVE_EXPIRED, (time_to_text(now),))
    db.execute(_ADD, once_to_values(record))
    return once_from_row(db.execute(_FIND, (record.owner_id, record.key)).fetchone())


def _take_over(db: sqlite3.Connection, *, record: OnceRecord, seen: OnceRecord) -> OnceRecord | None:
    was = {"seen_result_id": seen.result_id, "seen_leased_until": time_to_text(seen.leased_until)}
    db.execute(_TAKE_OVER, once_to_values(record) | was)
    row = db.execute(_FIND, (record.owner_id, record.key)).fetchone()
    return once_from_row(row) if row else None
