"""IdempotencyTable in SQLite."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from app.domain.claims import IdempotencyRecord
from app.tables.serializer import time_to_text
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.rows import first, insert, to_values

_FIND = "SELECT * FROM idempotency WHERE owner_id = ? AND key = ?"
_TAKE_OVER = """
    UPDATE idempotency SET fingerprint = :fingerprint, result_id = :result_id, done = :done,
                           leased_until = :leased_until, expires_at = :expires_at
    WHERE owner_id = :owner_id AND key = :key AND done = 0
          AND result_id = :seen_result_id AND leased_until = :seen_leased_until
"""
_RENEW = """
    UPDATE idempotency SET leased_until = ? WHERE owner_id = ? AND key = ? AND result_id = ? AND done = 0 RETURNING 1
"""
_FINISH = "UPDATE idempotency SET done = 1 WHERE owner_id = ? AND key = ? AND result_id = ?"
_ABANDON = "DELETE FROM idempotency WHERE owner_id = ? AND key = ? AND result_id = ? AND done = 0"
_REMOVE_EXPIRED = "DELETE FROM idempotency WHERE expires_at <= ?"


class SqliteIdempotencyTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def begin(self, record: IdempotencyRecord, *, now: datetime) -> IdempotencyRecord | None:
        def begin(writer: sqlite3.Connection) -> IdempotencyRecord | None:
            writer.execute(_REMOVE_EXPIRED, (time_to_text(now),))
            insert(writer, "idempotency", record, on_conflict="ON CONFLICT DO NOTHING")
            return _find(writer, record)

        current = await self._database.write(begin)
        # The result_id is unique to each caller, so it shows whose record this is, also if the write was repeated.
        return None if current is None or current.result_id == record.result_id else current

    async def find(self, owner_id: str, key: str) -> IdempotencyRecord | None:
        return first(IdempotencyRecord, await self._database.read(_FIND, owner_id, key))

    async def renew(self, record: IdempotencyRecord, *, leased_until: datetime) -> bool:
        values = (time_to_text(leased_until), record.owner_id, record.key, record.result_id)
        return bool(await self._database.execute(_RENEW, *values))

    async def take_over(self, record: IdempotencyRecord, *, seen: IdempotencyRecord) -> bool:
        was = {"seen_result_id": seen.result_id, "seen_leased_until": time_to_text(seen.leased_until)}

        def take_over(writer: sqlite3.Connection) -> IdempotencyRecord | None:
            writer.execute(_TAKE_OVER, to_values(record) | was)
            return _find(writer, record)

        current = await self._database.write(take_over)
        return current is not None and current.result_id == record.result_id

    async def finish(self, record: IdempotencyRecord) -> None:
        await self._database.execute(_FINISH, record.owner_id, record.key, record.result_id)

    async def abandon(self, record: IdempotencyRecord) -> None:
        await self._database.execute(_ABANDON, record.owner_id, record.key, record.result_id)


def _find(db: sqlite3.Connection, record: IdempotencyRecord) -> IdempotencyRecord | None:
    return first(IdempotencyRecord, db.execute(_FIND, (record.owner_id, record.key)).fetchall())
