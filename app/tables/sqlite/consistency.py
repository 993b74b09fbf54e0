"""ReconcileTable and StoreIdTable in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection
from datetime import datetime
from itertools import groupby

from app.domain.reconciliation import Discrepancy, ReconcileState
from app.tables.serializer import time_from_text, time_to_text
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.rows import first, insert

_LOST = ""
"""Stands for the record in place of an object's name: no object has an empty name."""
_WALK_IMAGES = 500

_NOTE = "INSERT INTO discrepancies VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_WALK = """
    SELECT * FROM discrepancies WHERE (owner_id, image_id) IN (
        SELECT DISTINCT owner_id, image_id FROM discrepancies WHERE (owner_id, image_id) > (?, ?)
        ORDER BY owner_id, image_id LIMIT ?
    ) ORDER BY owner_id, image_id
"""
_FORGET = "DELETE FROM discrepancies WHERE owner_id = ? AND image_id = ? AND name = ?"
_STATE = "SELECT * FROM reconcile_state"
_STATE_VERSION = "SELECT version FROM reconcile_state"
_REMOVE_STATE = "DELETE FROM reconcile_state"
_STORE_ID = "SELECT id FROM store"
_SET_STORE_ID = "INSERT INTO store VALUES (1, ?) ON CONFLICT DO NOTHING"


class SqliteReconcileTable:
    shards = ("all",)

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def note_unreferenced(self, owner_id: str, image_id: str, names: Collection[str], *, at: datetime) -> None:
        def note(writer: sqlite3.Connection) -> None:
            writer.executemany(_NOTE, [(owner_id, image_id, name, time_to_text(at)) for name in names])

        await self._database.write(note)

    async def note_lost(self, owner_id: str, image_id: str, *, at: datetime) -> None:
        await self._database.execute(_NOTE, owner_id, image_id, _LOST, time_to_text(at))

    async def discrepancies(self, shard: str, *, after: tuple[str, str] = ("", "")) -> AsyncIterator[Discrepancy]:  # noqa: ARG002
        last = after
        while rows := await self._database.read(_WALK, *last, _WALK_IMAGES):
            for (owner_id, image_id), group in groupby(rows, key=lambda row: (row["owner_id"], row["image_id"])):
                seen = {row["name"]: time_from_text(row["first_seen_at"]) for row in group}
                yield Discrepancy(owner_id, image_id, lost_since=seen.pop(_LOST, None), unreferenced=seen)
            last = (rows[-1]["owner_id"], rows[-1]["image_id"])

    async def forget_unreferenced(self, owner_id: str, image_id: str, names: Collection[str]) -> None:
        def forget(writer: sqlite3.Connection) -> None:
            writer.executemany(_FORGET, [(owner_id, image_id, name) for name in names])

        await self._database.write(forget)

    async def forget_lost(self, owner_id: str, image_id: str) -> None:
        await self._database.execute(_FORGET, owner_id, image_id, _LOST)

    async def reconcile_state(self) -> ReconcileState | None:
        return first(ReconcileState, await self._database.read(_STATE))

    async def save_reconcile_state(self, state: ReconcileState) -> bool:
        def save(writer: sqlite3.Connection) -> bool:
            saved = writer.execute(_STATE_VERSION).fetchone()
            if (saved["version"] if saved else 0) != state.version - 1:
                return False
            writer.execute(_REMOVE_STATE)
            insert(writer, "reconcile_state", state, number=1)
            return True

        return await self._database.write(save)


class SqliteStoreIdTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def store_id(self) -> str | None:
        rows = await self._database.read(_STORE_ID)
        return rows[0]["id"] if rows else None

    async def set_store_id(self, store_id: str) -> str:
        def set_id(writer: sqlite3.Connection) -> str:
            writer.execute(_SET_STORE_ID, (store_id,))
            current: str = writer.execute(_STORE_ID).fetchone()["id"]
            return current

        return await self._database.write(set_id)
