"""DirectUploadTable in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from app.domain.claims import RequestClaim
from app.domain.images import Quota
from app.domain.uploads import DirectUpload, Refusal
from app.ports.clock import Clock
from app.tables.serializer import time_to_text, to_fields
from app.tables.sqlite.claims import require_claim
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.reservations import release, reserve
from app.tables.sqlite.rows import first, from_row, insert

_RETENTION = timedelta(days=1)

_FIND = "SELECT * FROM direct_uploads WHERE owner_id = ? AND id = ?"
_SAVE_PROGRESS = """
    UPDATE direct_uploads SET received = ?, holder = ?, version = ?
    WHERE owner_id = ? AND id = ? AND version = ? RETURNING 1
"""
_SAVE_REFUSAL = "UPDATE direct_uploads SET refusal = ? WHERE owner_id = ? AND id = ?"
_REMOVE = "DELETE FROM direct_uploads WHERE owner_id = ? AND id = ?"
_REMOVE_EXPIRED = "DELETE FROM direct_uploads WHERE expires_at <= ? AND is_open = 0"
_EXPIRED = "SELECT * FROM direct_uploads WHERE expires_at < ? AND is_open = 1 ORDER BY expires_at LIMIT ?"


class SqliteDirectUploadTable:
    def __init__(self, database: SqliteDatabase, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add_upload(self, upload: DirectUpload, *, quota: Quota, claim: RequestClaim | None = None) -> None:
        def add(writer: sqlite3.Connection) -> None:
            require_claim(writer, upload.owner_id, claim)
            writer.execute(_REMOVE_EXPIRED, (time_to_text(self._clock() - _RETENTION),))
            if writer.execute(_FIND, (upload.owner_id, upload.id)).fetchone():
                return
            reserve(writer, upload, quota=quota)
            insert(writer, "direct_uploads", upload)

        await self._database.write(add)

    async def save_progress(self, upload: DirectUpload, *, seen: DirectUpload) -> bool:
        values = (upload.received, upload.holder, upload.version, upload.owner_id, upload.id, seen.version)
        return bool(await self._database.execute(_SAVE_PROGRESS, *values))

    async def save_refusal(self, upload: DirectUpload, refusal: Refusal) -> None:
        await self._database.execute(_SAVE_REFUSAL, json.dumps(to_fields(refusal)), upload.owner_id, upload.id)

    async def release_upload(self, upload: DirectUpload) -> None:
        await self._database.write(lambda writer: release(writer, upload))

    async def remove_upload(self, upload: DirectUpload) -> None:
        def remove(writer: sqlite3.Connection) -> None:
            release(writer, upload)
            writer.execute(_REMOVE, (upload.owner_id, upload.id))

        await self._database.write(remove)

    async def expired_uploads(self, *, before: datetime, limit: int) -> Sequence[DirectUpload]:
        return [from_row(DirectUpload, row) for row in await self._database.read(_EXPIRED, time_to_text(before), limit)]

    async def find_upload(self, owner_id: str, upload_id: str) -> DirectUpload | None:
        return first(DirectUpload, await self._database.read(_FIND, owner_id, upload_id))
