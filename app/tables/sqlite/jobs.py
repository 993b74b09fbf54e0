"""JobTable in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from app.domain.claims import RequestClaim
from app.domain.events import Event
from app.domain.jobs import DueJob, Job, JobStatus
from app.ports.clock import Clock
from app.tables.serializer import time_to_text
from app.tables.sqlite.claims import require_claim
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.events import insert_events
from app.tables.sqlite.rows import first, from_row, insert, to_values

_RETENTION = timedelta(days=30)
_AFTER_EVERY_ID = "\U0010ffff"

_FIND = "SELECT * FROM jobs WHERE owner_id = ? AND id = ?"
_PAGE = "SELECT * FROM jobs WHERE owner_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
_PAGE_OF_STATUS = "SELECT * FROM jobs WHERE owner_id = ? AND id < ? AND status = ? ORDER BY id DESC LIMIT ?"
_CLAIM = """
    UPDATE jobs SET status = :running, claim = :claim, attempts = attempts + 1, due_at = :lease_until, updated_at = :now
    WHERE owner_id = :owner_id AND id = :id AND due_at <= :now
"""
_SAVE = """
    UPDATE jobs SET updated_at = :updated_at, due_at = :due_at, status = :status, attempts = :attempts,
                    progress = :progress, error = :error, ean = :ean, description = :description, image_id = :image_id
    WHERE owner_id = :owner_id AND id = :id AND claim = :claim AND status = :running
"""
_DUE = "SELECT owner_id, id, due_at FROM jobs WHERE due_at < ? ORDER BY due_at LIMIT ?"
_REMOVE_EXPIRED = "DELETE FROM jobs WHERE due_at IS NULL AND updated_at <= ?"


class SqliteJobTable:
    def __init__(self, database: SqliteDatabase, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add_job(self, job: Job, *, claim: RequestClaim | None = None) -> None:
        def add(writer: sqlite3.Connection) -> None:
            require_claim(writer, job.owner_id, claim)
            writer.execute(_REMOVE_EXPIRED, (time_to_text(self._clock() - _RETENTION),))
            insert(writer, "jobs", job, on_conflict="ON CONFLICT DO NOTHING")

        await self._database.write(add)

    async def find_job(self, owner_id: str, job_id: str) -> Job | None:
        return first(Job, await self._database.read(_FIND, owner_id, job_id))

    async def page_jobs(
        self, owner_id: str, *, before: str | None, limit: int, status: JobStatus | None = None
    ) -> tuple[Sequence[Job], str | None]:
        start = _AFTER_EVERY_ID if before is None else before
        if status is None:
            rows = await self._database.read(_PAGE, owner_id, start, limit + 1)
        else:
            rows = await self._database.read(_PAGE_OF_STATUS, owner_id, start, status, limit + 1)
        jobs = [from_row(Job, row) for row in rows[:limit]]
        return jobs, jobs[-1].id if len(rows) > limit else None

    async def claim_job(
        self, owner_id: str, job_id: str, *, claim: str, now: datetime, lease_until: datetime
    ) -> Job | None:
        values = {"owner_id": owner_id, "id": job_id, "claim": claim, "running": JobStatus.RUNNING}
        times = {"now": time_to_text(now), "lease_until": time_to_text(lease_until)}
        job = await self._database.write(partial(_change, change=_CLAIM, values=values | times))
        return job if job and job.status is JobStatus.RUNNING and job.claim == claim else None

    async def save_job(self, job: Job, *, events: Sequence[Event] = ()) -> bool:
        if job.claim is None:
            return False
        values = {**to_values(job), "running": JobStatus.RUNNING}
        saved = await self._database.write(partial(_change, change=_SAVE, values=values, events=events))
        return saved is not None and saved == replace(job, kind=saved.kind, created_at=saved.created_at)

    async def due_jobs(self, *, before: datetime, limit: int) -> Sequence[DueJob]:
        return [from_row(DueJob, row) for row in await self._database.read(_DUE, time_to_text(before), limit)]


def _change(db: sqlite3.Connection, *, change: str, values: dict[str, Any], events: Sequence[Event] = ()) -> Job | None:
    """Run the update and return the current row. Whether it applied is read off the row, also if it is repeated."""
    if db.execute(change, values).rowcount == 1:
        insert_events(db, events)
    return first(Job, db.execute(_FIND, (values["owner_id"], values["id"])).fetchall())
