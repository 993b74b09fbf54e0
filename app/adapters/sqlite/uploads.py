"""Direct uploads in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from app.adapters.sqlite.claims import require_claim
from app.adapters.sqlite.database import SqliteDatabase
from app.adapters.sqlite.rows import time_to_text, upload_from_row, upload_to_values
from app.core.models import DirectUpload, RequestClaim

_KEPT = timedelta(days=1)

_FIND = "SELECT * FROM direct_uploads WHERE owner_id = ? AND id = ?"
_ADD = """
    INSERT INTO direct_uploads VALUES (:owner_id, :id, :filename, :description, :content_type, :size, :sha256,
                                       :expires_at)
    ON CONFLICT DO NOTHING
"""
_REMOVE_EXPIRED = "DELETE FROM direct_uploads WHERE expires_at <= ?"


def _now() -> datetime:
    return datetime.now(UTC)


class SqliteDirectUploadTable:
    def __init__(self, database: SqliteDatabase, *, clock: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._clock = clock

    async def add_upload(self, upload: DirectUpload, *, claim: RequestClaim | None = None) -> None:
        await self._database.write(partial(_add, upload=upload, claim=claim, now=self._clock()))

    async def find_upload(self, owner_id: str, upload_id: str) -> DirectUpload | None:
        rows = await self._database.read(_FIND, owner_id, upload_id)
        return upload_from_row(rows[0]) if rows else None


def _add(db: sqlite3.Connection, *, upload: DirectUpload, claim: RequestClaim | None, now: datetime) -> None:
    require_claim(db, upload.owner_id, claim)
    db.execute(_REMOVE_EXPIRED, (time_to_text(now - _KEPT),))
    db.execute(_ADD, upload_to_values(upload))
