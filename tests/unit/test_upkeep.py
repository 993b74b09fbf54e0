"""Lost messages that are sent again, and the reconcile that one worker does once a day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.adapters.local_queue import LocalJobQueue
from app.adapters.sqlite import SqliteJobTable, SqliteOnceTable, open_sqlite
from app.core.errors import DependencyUnavailable
from app.core.ids import new_id
from app.core.jobs import Job, JobKind
from app.usecases.upkeep import Upkeep
from tests.reconciling import system_clock


class Reconciling:
    """Counts its runs; the first `failing` of them fail."""

    def __init__(self, *, failing: int = 0) -> None:
        self.runs = 0
        self._failing = failing

    async def run(self) -> None:
        self.runs += 1
        await asyncio.sleep(0.01)
        if self.runs <= self._failing:
            raise DependencyUnavailable("store")


@dataclass
class Parts:
    jobs: SqliteJobTable
    once: SqliteOnceTable
    queue: LocalJobQueue

    def upkeep(self, reconciler: Any = None) -> Upkeep:
        deletions: Any = None
        return Upkeep(
            jobs=self.jobs,
            queue=self.queue,
            once=self.once,
            deletions=deletions,
            reconciler=reconciler,
            clock=system_clock,
        )

    async def add(self, *, due_for: timedelta) -> str:
        then = datetime.now(UTC) - due_for
        job = Job(new_id(), "ada", JobKind.FETCH, then, then, then)
        await self.jobs.add_job(job)
        return job.id

    async def received(self) -> set[str]:
        return {message.job_id for message in await self.queue.receive(limit=10, hide_seconds=60)}


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with open_sqlite(tmp_path / "db") as database:
        yield Parts(SqliteJobTable(database), SqliteOnceTable(database), LocalJobQueue(wait_seconds=0))


async def test_where_nothing_waits_what_is_overdue_was_lost(parts: Parts):
    lost = await parts.add(due_for=timedelta(seconds=40))
    await parts.add(due_for=timedelta(seconds=1))
    await parts.upkeep().send_lost()
    assert await parts.received() == {lost}


async def test_where_messages_wait_only_what_is_long_overdue_was_lost(parts: Parts):
    await parts.queue.send("ada", "another")
    lost = await parts.add(due_for=timedelta(minutes=6))
    await parts.add(due_for=timedelta(minutes=1))
    await parts.upkeep().send_lost()
    assert await parts.received() == {"another", lost}


async def test_of_many_workers_one_reconciles_in_a_day(parts: Parts):
    reconciler = Reconciling()
    await asyncio.gather(*(parts.upkeep(reconciler).reconcile_daily() for _ in range(8)))
    await parts.upkeep(reconciler).reconcile_daily()
    assert reconciler.runs == 1


async def test_a_reconcile_that_failed_is_done_again(parts: Parts):
    reconciler = Reconciling(failing=1)
    with pytest.raises(DependencyUnavailable):
        await parts.upkeep(reconciler).reconcile_daily()
    await parts.upkeep(reconciler).reconcile_daily()
    await parts.upkeep(reconciler).reconcile_daily()
    assert reconciler.runs == 2
