"""The records of background jobs in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from app.adapters.sqlite.claims import require_claim
from app.adapters.sqlite.database import SqliteDatabase
from app.adapters.sqlite.rows import job_from_row, job_to_values, time_from_text, time_to_text
from app.core.jobs import DueJob, Job, JobStatus
from app.core.models import RequestClaim

_KEPT = timedelta(days=30)
_AFTER_EVERY_ID = "\U0010ffff"

_FIND = "SELECT * FROM jobs WHERE owner_id = ? AND id = ?"
_ADD = """
    INSERT INTO jobs VALUES (:owner_id, :id, :kind, :created_at, :updated_at, :due_at, :status, :claim, :attempts,
                             :progress, :error, :ean, :description, :image_id)
    ON CONFLICT DO NOTHING
"""
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
_REMOVE_OLD = "DELETE FROM jobs WHERE due_at IS NULL AND updated_at <= ?"
_REMOVE_OLD_MARKS = "DELETE FROM closed_owners WHERE until <= ?"


def _now() -> datetime:
    return datetime.now(UTC)


class SqliteJobTable:
    def __init__(self, database: SqliteDatabase, *, clock: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._clock = clock

    async def add_job(self, job: Job, *, claim: RequestClaim | None = None) -> None:
        await self._database.write(partial(_add, job=job, claim=claim, now=self._clock()))

    async def find_job(self, owner_id: str, job_id: str) -> Job | None:
        rows = await self._database.read(_FIND, owner_id, job_id)
        return job_from_row(rows[0]) if rows else None

    async def page_jobs(
        self, owner_id: str, *, before: str | None, limit: int, status: JobStatus | None = None
    ) -> Sequence[Job]:
        start = _AFTER_EVERY_ID if before is None else before
        if status is None:
            rows = await self._database.read(_PAGE, owner_id, start, limit)
        else:
            rows = await self._database.read(_PAGE_OF_STATUS, owner_id, start, status, limit)
        return [job_from_row(row) for row in rows]

    async def claim_job(
        self, owner_id: str, job_id: str, *, claim: str, now: datetime, lease_until: datetime
    ) -> Job | None:
        values = {"owner_id": owner_id, "id": job_id, "claim": claim, "running": JobStatus.RUNNING}
        times = {"now": time_to_text(now), "lease_until": time_to_text(lease_until)}
        job = await self._database.write(partial(_change, change=_CLAIM, values=values | times))
        return job if job and job.status is JobStatus.RUNNING and job.claim == claim else None

    async def save_job(self, job: Job) -> bool:
        if job.claim is None:
            return False
        values = {**job_to_values(job), "running": JobStatus.RUNNING}
        there = await self._database.write(partial(_change, change=_SAVE, values=values))
        return there is not None and there == replace(job, kind=there.kind, created_at=there.created_at)

    async def due_jobs(self, *, before: datetime, limit: int) -> Sequence[DueJob]:
        rows = await self._database.read(_DUE, time_to_text(before), limit)
        return [DueJob(row["owner_id"], row["id"], time_from_text(row["due_at"])) for row in rows]


def _add(db: sqlite3.Connection, *, job: Job, claim: RequestClaim | None, now: datetime) -> None:
    require_claim(db, job.owner_id, claim)
    db.execute(_REMOVE_OLD, (time_to_text(now - _KEPT),))
    db.execute(_REMOVE_OLD_MARKS, (time_to_text(now),))
    db.execute(_ADD, job_to_values(job))


# Returns what is there then: whether it is the caller's own, also when it asks once more, a look at it tells.
def _change(db: sqlite3.Connection, *, change: str, values: dict[str, Any]) -> Job | None:
    db.execute(change, values)
    row = db.execute(_FIND, (values["owner_id"], values["id"])).fetchone()
    return job_from_row(row) if row else None
