"""ShareTable in SQLite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.domain.shares import Share
from app.tables.serializer import time_to_text
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.rows import first, from_row, insert, to_value

_FIND = "SELECT * FROM shares WHERE id = ?"
_PAGE = "SELECT * FROM shares WHERE owner_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
_REMOVE = "DELETE FROM shares WHERE owner_id = ? AND id = ? RETURNING id"
_REMOVE_ALL = "DELETE FROM shares WHERE owner_id = ?"
_AFTER_EVERY_ID = "\U0010ffff"


class SqliteShareTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add_share(self, share: Share) -> None:
        await self._database.write(lambda writer: insert(writer, "shares", share))

    async def find_share(self, share_id: str) -> Share | None:
        return first(Share, await self._database.read(_FIND, share_id))

    async def page_shares(self, owner_id: str, *, before: str | None, limit: int) -> Sequence[Share]:
        rows = await self._database.read(_PAGE, owner_id, before or _AFTER_EVERY_ID, limit)
        return [from_row(Share, row) for row in rows]

    async def edit_share(self, owner_id: str, share_id: str, *, changes: Mapping[str, object]) -> Share | None:
        columns = ", ".join(f"{name} = ?" for name in changes)
        values: list[Any] = [time_to_text(v) if isinstance(v, datetime) else to_value(v) for v in changes.values()]
        edit = f"UPDATE shares SET {columns} WHERE owner_id = ? AND id = ? RETURNING *"  # noqa: S608 - names of fields
        return first(Share, await self._database.execute(edit, *values, owner_id, share_id))

    async def remove_share(self, owner_id: str, share_id: str) -> bool:
        return bool(await self._database.execute(_REMOVE, owner_id, share_id))

    async def remove_shares(self, owner_id: str) -> None:
        await self._database.execute(_REMOVE_ALL, owner_id)
