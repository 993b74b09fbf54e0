"""DirectUploadTable in SQLite."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from app.domain.claims import RequestClaim
from app.domain.uploads import DirectUpload
from app.ports.clock import Clock
from app.tables.serializer import time_to_text
from app.tables.sqlite.claims import require_claim
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.rows import first, insert

_RETENTION = timedelta(days=1)

_FIND = "SELECT * FROM direct_uploads WHERE owner_id = ? AND id = ?"
_REMOVE_EXPIRED = "DELETE FROM direct_uploads WHERE expires_at <= ?"


class SqliteDirectUploadTable:
    def __init__(self, database: SqliteDatabase, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add_upload(self, upload: DirectUpload, *, claim: RequestClaim | None = None) -> None:
        def add(writer: sqlite3.Connection) -> None:
            require_claim(writer, upload.owner_id, claim)
            writer.execute(_REMOVE_EXPIRED, (time_to_text(self._clock() - _RETENTION),))
            insert(writer, "direct_uploads", upload, on_conflict="ON CONFLICT DO NOTHING")

        await self._database.write(add)

    async def find_upload(self, owner_id: str, upload_id: str) -> DirectUpload | None:
        return first(DirectUpload, await self._database.read(_FIND, owner_id, upload_id))
