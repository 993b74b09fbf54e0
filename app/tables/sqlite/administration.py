"""OwnerIndex, ServerKeyTable and AuditTable in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from app.domain.administration import AuditEntry, ServerKey
from app.ports.clock import Clock
from app.tables.serializer import time_to_text
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.rows import first, from_row, insert

_ADD_OWNER = "INSERT INTO owners VALUES (?) ON CONFLICT DO NOTHING"
_PAGE_OWNERS = "SELECT id FROM owners WHERE id > ? ORDER BY id LIMIT ?"
_HAS_OWNER = "SELECT 1 FROM owners WHERE id = ?"
_REMOVE_OWNER = "DELETE FROM owners WHERE id = ?"
_FIND_KEY = "SELECT * FROM server_keys WHERE id = ?"
_KEYS = "SELECT * FROM server_keys ORDER BY id"
_REVOKE_KEY = "UPDATE server_keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ? RETURNING *"
_PAGE_ENTRIES = "SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"
_PAGE_ENTRIES_OF_OWNER = "SELECT * FROM audit WHERE owner_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
_FORGET_ADDRESSES = "UPDATE audit SET address = NULL WHERE owner_id = ?"
_REMOVE_EXPIRED_ENTRIES = "DELETE FROM audit WHERE expires_at <= ?"
_AFTER_EVERY_ID = "\U0010ffff"


class SqliteOwnerIndex:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add_owner(self, owner_id: str) -> None:
        if not await self.has_owner(owner_id):
            await self._database.execute(_ADD_OWNER, owner_id)

    async def page_owners(self, *, after: str | None, limit: int) -> Sequence[str]:
        return [row["id"] for row in await self._database.read(_PAGE_OWNERS, after or "", limit)]

    async def has_owner(self, owner_id: str) -> bool:
        return bool(await self._database.read(_HAS_OWNER, owner_id))

    async def remove_owner(self, owner_id: str) -> None:
        await self._database.execute(_REMOVE_OWNER, owner_id)


class SqliteServerKeyTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add_key(self, key: ServerKey) -> None:
        await self._database.write(lambda writer: insert(writer, "server_keys", key))

    async def find_key(self, key_id: str) -> ServerKey | None:
        return first(ServerKey, await self._database.read(_FIND_KEY, key_id))

    async def keys(self) -> Sequence[ServerKey]:
        return [from_row(ServerKey, row) for row in await self._database.read(_KEYS)]

    async def revoke_key(self, key_id: str, *, at: datetime) -> ServerKey | None:
        return first(ServerKey, await self._database.execute(_REVOKE_KEY, time_to_text(at), key_id))


class SqliteAuditTable:
    def __init__(self, database: SqliteDatabase, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add_entry(self, entry: AuditEntry) -> None:
        def add(writer: sqlite3.Connection) -> None:
            writer.execute(_REMOVE_EXPIRED_ENTRIES, (time_to_text(self._clock()),))
            insert(writer, "audit", entry)

        await self._database.write(add)

    async def page_entries(
        self, *, before: str | None, limit: int, owner_id: str | None = None
    ) -> tuple[Sequence[AuditEntry], str | None]:
        start = before or _AFTER_EVERY_ID
        if owner_id is None:
            rows = await self._database.read(_PAGE_ENTRIES, start, limit)
        else:
            rows = await self._database.read(_PAGE_ENTRIES_OF_OWNER, owner_id, start, limit)
        return [from_row(AuditEntry, row) for row in rows], rows[-1]["id"] if len(rows) == limit else None

    async def forget_addresses(self, owner_id: str) -> None:
        await self._database.execute(_FORGET_ADDRESSES, owner_id)
