"""What reconcile runs found out of step, in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Collection
from datetime import datetime
from itertools import groupby

from app.adapters.sqlite.database import SqliteDatabase
from app.adapters.sqlite.rows import time_from_text, time_to_text
from app.core.models import Discrepancy, ReconcileState

_LOST = ""
"""The name that stands for the record: no object has it."""
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
_SAVE_STATE = "INSERT OR REPLACE INTO reconcile_state VALUES (1, ?, ?, ?)"


class SqliteReconcileTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def note_unreferenced(self, owner_id: str, image_id: str, names: Collection[str], *, at: datetime) -> None:
        def note(writer: sqlite3.Connection) -> None:
            writer.executemany(_NOTE, [(owner_id, image_id, name, time_to_text(at)) for name in names])

        await self._database.write(note)

    async def note_lost(self, owner_id: str, image_id: str, *, at: datetime) -> None:
        await self._database.execute(_NOTE, owner_id, image_id, _LOST, time_to_text(at))

    async def discrepancies(self) -> AsyncIterator[Discrepancy]:
        last = ("", "")
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
        rows = await self._database.read(_STATE)
        if not rows:
            return None
        row = rows[0]
        deleted: dict[str, int] = json.loads(row["originals_deleted"])
        return ReconcileState(row["run_id"], time_from_text(row["unbroken_since"]), deleted)

    async def save_reconcile_state(self, state: ReconcileState) -> None:
        deleted = json.dumps(dict(state.originals_deleted))
        await self._database.execute(_SAVE_STATE, state.run_id, time_to_text(state.unbroken_since), deleted)
