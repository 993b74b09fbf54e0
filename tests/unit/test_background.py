"""A worker's loop and its upkeep, on real tables and the real queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.adapters.disk import open_disk
from app.adapters.local_queue import LocalJobQueue
from app.adapters.prometheus import PrometheusMetrics
from app.adapters.sqlite import (
    SqliteImageTable,
    SqliteJobTable,
    SqliteOnceTable,
    SqliteOwnerTable,
    SqliteReconcileTable,
    SqliteTombstoneTable,
    open_sqlite,
)
from app.core.ids import new_id
from app.core.jobs import Job, JobError, JobKind, JobMessage
from app.core.ports import JobQueue
from app.usecases import background
from app.usecases.background import Background
from app.usecases.deletions import Deletions
from app.usecases.upkeep import Upkeep
from app.usecases.working import Attempt, Work
from tests.reconciling import make_reconciler, system_clock

OWNER = "ada"


@dataclass
class Handling:
    """Notes which jobs were done."""

    done: list[str] = field(default_factory=list)

    async def run(self, attempt: Attempt) -> None:
        self.done.append(attempt.job.id)

    async def give_up(self, job: Job, error: JobError) -> None:
        raise AssertionError(error)

    async def wait_for(self, job: Job) -> None:
        async with asyncio.timeout(10):
            while job.id not in self.done:  # noqa: ASYNC110 - a list has no event
                await asyncio.sleep(0.01)


@dataclass
class Bench:
    table: SqliteJobTable
    handling: Handling
    make: Callable[..., Background]

    async def add(self, *, due_in: float) -> Job:
        now = datetime.now(UTC)
        job = Job(new_id(), OWNER, JobKind.RENDER, now, now, now + timedelta(seconds=due_in))
        await self.table.add_job(job)
        return job


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_disk(tmp_path / "objects", url_key=b"k" * 32, ttl_seconds=60, window_seconds=60)
        )
        database = await stack.enter_async_context(open_sqlite(tmp_path / "db"))
        table, handling, metrics = SqliteJobTable(database), Handling(), PrometheusMetrics()
        tombstones = SqliteTombstoneTable(database)
        reconciler = make_reconciler(
            store=store,
            images=SqliteImageTable(database),
            owners=SqliteOwnerTable(database),
            tombstones=tombstones,
            table=SqliteReconcileTable(database),
        )
        deletions = Deletions(store=store, tombstones=tombstones, clock=system_clock)

        def make(queue: JobQueue, *, queue_begins_empty: bool = False) -> Background:
            handlers = dict.fromkeys(JobKind, handling)
            work = Work(table=table, queue=queue, handlers=handlers, metrics=metrics, clock=system_clock)
            upkeep = Upkeep(
                jobs=table,
                queue=queue,
                once=SqliteOnceTable(database),
                deletions=deletions,
                reconciler=reconciler,
                clock=system_clock,
            )
            return Background(
                queue=queue, work=work, upkeep=upkeep, metrics=metrics, queue_begins_empty=queue_begins_empty
            )

        yield Bench(table, handling, make)


class Stumbling(LocalJobQueue):
    """Receives once like a library that has met an answer it was not made for."""

    has_stumbled = False

    async def receive(self, *, limit: int, hide_seconds: int) -> Sequence[JobMessage]:
        if not self.has_stumbled:
            self.has_stumbled = True
            raise KeyError("ReceiptHandle")
        return await super().receive(limit=limit, hide_seconds=hide_seconds)


async def test_an_unforeseen_fault_of_the_queue_does_not_end_the_loop(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(background, "_PAUSE_SECONDS", 0.01)
    queue = Stumbling()
    async with bench.make(queue).running():
        job = await bench.add(due_in=0)
        await queue.send(OWNER, job.id)
        await bench.handling.wait_for(job)
    assert queue.has_stumbled


async def test_a_worker_that_starts_leaves_alone_what_is_only_just_being_added(bench: Bench):
    """What the job is about is written after the job itself."""
    fresh = await bench.add(due_in=0)
    lost = await bench.add(due_in=-60)
    async with bench.make(LocalJobQueue()).running():
        await bench.handling.wait_for(lost)
    assert fresh.id not in bench.handling.done


async def test_a_queue_that_begins_empty_gets_what_is_due_later_as_well(bench: Bench):
    """Such as a job whose lease was running when its process was killed."""
    now, later = await bench.add(due_in=0), await bench.add(due_in=1)
    async with bench.make(LocalJobQueue(), queue_begins_empty=True).running():
        await bench.handling.wait_for(now)
        await bench.handling.wait_for(later)
    assert bench.handling.done == [now.id, later.id]
