"""Tests of the worker's loops, with real tables and a real queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.common.object_deletion import ObjectDeletion
from app.common.upload_expiry import UploadExpiry
from app.consistency.reconciler import Reconciler
from app.domain.errors import DependencyUnavailable
from app.domain.ids import new_id
from app.domain.jobs import Job, JobError, JobMessage
from app.jobs import worker as worker_module
from app.jobs.attempt import Attempt
from app.jobs.event_dispatch import EventDispatch
from app.jobs.maintenance import Maintenance
from app.jobs.registry import JobRegistry, JobResult, JobSpec
from app.jobs.runner import JobRunner
from app.jobs.worker import Worker
from app.observability.metrics import PrometheusMetrics
from app.ports.clock import Clock
from app.ports.queue import JobQueue
from app.queues.local import LocalJobQueue
from app.storage.disk.store import open_disk
from app.tables.sqlite import (
    SqliteAccountTable,
    SqliteDatabase,
    SqliteDirectUploadTable,
    SqliteEventTable,
    SqliteIdempotencyTable,
    SqliteImageTable,
    SqliteJobTable,
    SqliteOwnerIndex,
    SqliteOwnerTable,
    SqliteReconcileTable,
    SqliteTombstoneTable,
    SqliteWebhookEndpointTable,
    open_sqlite,
)
from tests.no_events import NO_EVENTS
from tests.reconcile_helpers import make_reconciler, system_clock
from tests.unit.waiting import wait_until

OWNER = "ada"
KIND = "render"
NO_PARTS: Any = None
NO_JOBS: Any = None


@dataclass
class Handler:
    """A job handler that only records which jobs it processed."""

    processed: list[str] = field(default_factory=list)

    async def run(self, attempt: Attempt) -> None:
        self.processed.append(attempt.job.id)

    async def give_up(self, job: Job, error: JobError) -> None:
        raise AssertionError(error)

    async def wait_for(self, job: Job) -> None:
        await wait_until(lambda: job.id in self.processed)


async def no_result(job: Job) -> JobResult:
    return JobResult()


@dataclass
class Workers:
    """Makes workers that share one database."""

    database: SqliteDatabase
    deletion: ObjectDeletion
    reconciler: Reconciler
    handler: Handler = field(default_factory=Handler)
    metrics: PrometheusMetrics = field(default_factory=PrometheusMetrics)

    def make(self, queue: JobQueue, *, queue_is_volatile: bool = False, clock: Clock = system_clock) -> Worker:
        table = SqliteJobTable(self.database, clock=clock)
        registry = JobRegistry([JobSpec(KIND, "Testing", self.handler, no_result)])
        return Worker(
            queue=queue,
            runner=JobRunner(
                table=table, queue=queue, registry=registry, events=NO_EVENTS, metrics=self.metrics, clock=clock
            ),
            maintenance=Maintenance(
                jobs=table,
                queue=queue,
                idempotency=SqliteIdempotencyTable(self.database),
                deletion=self.deletion,
                upload_expiry=UploadExpiry(SqliteDirectUploadTable(self.database, clock=clock), NO_PARTS, clock=clock),
                event_dispatch=EventDispatch(
                    events=SqliteEventTable(self.database),
                    endpoints=SqliteWebhookEndpointTable(self.database),
                    jobs=NO_JOBS,
                    clock=clock,
                ),
                reconciler=self.reconciler,
                images=SqliteImageTable(self.database),
                accounts=SqliteAccountTable(self.database),
                owner_index=SqliteOwnerIndex(self.database),
                clock=clock,
            ),
            metrics=self.metrics,
            queue_is_volatile=queue_is_volatile,
        )

    async def add_job(self, *, due_in: float) -> Job:
        """Add a job without sending its message. Its due time is relative to the present."""
        now = system_clock()
        job = Job(new_id(), OWNER, KIND, now, now, now + timedelta(seconds=due_in))
        await SqliteJobTable(self.database, clock=system_clock).add_job(job)
        return job


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[Workers]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_disk(tmp_path / "objects", url_key=b"k" * 32, ttl_seconds=60, window_seconds=60)
        )
        database = await stack.enter_async_context(open_sqlite(tmp_path / "db"))
        tombstones = SqliteTombstoneTable(database)
        reconciler = make_reconciler(
            store=store,
            images=SqliteImageTable(database),
            owners=SqliteOwnerTable(database, clock=system_clock),
            tombstones=tombstones,
            table=SqliteReconcileTable(database),
            owner_index=SqliteOwnerIndex(database),
        )
        deletion = ObjectDeletion(store=store, tombstones=tombstones, clock=system_clock)
        yield Workers(database, deletion, reconciler)


class FailingQueue(LocalJobQueue):
    """A queue whose first `receive` fails."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    async def receive(self, *, limit: int, visibility_timeout_seconds: int) -> Sequence[JobMessage]:
        if self.error:
            error, self.error = self.error, None
            raise error
        return await super().receive(limit=limit, visibility_timeout_seconds=visibility_timeout_seconds)


@pytest.mark.parametrize("error", [KeyError("ReceiptHandle"), DependencyUnavailable("queue")], ids=["bug", "outage"])
async def test_an_error_of_the_queue_does_not_end_the_worker(
    workers: Workers, error: Exception, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker_module, "_ERROR_PAUSE_SECONDS", 0.01)
    queue = FailingQueue(error)
    async with workers.make(queue).running():
        job = await workers.add_job(due_in=0)
        await queue.send(OWNER, job.id)
        await workers.handler.wait_for(job)
    assert queue.error is None


async def test_a_worker_that_starts_does_not_requeue_jobs_that_were_just_added(workers: Workers):
    """The record that a job refers to may be written after the job."""
    new = await workers.add_job(due_in=0)
    lost = await workers.add_job(due_in=-60)
    now = system_clock()
    async with workers.make(LocalJobQueue(), clock=lambda: now).running():
        await workers.handler.wait_for(lost)
    assert workers.handler.processed == [lost.id]
    assert new.id not in workers.handler.processed


async def test_a_volatile_queue_gets_the_jobs_that_are_due_later_as_well(workers: Workers):
    """For example a job whose lease had not ended when its process was killed."""
    due, due_later = await workers.add_job(due_in=0), await workers.add_job(due_in=1)
    async with workers.make(LocalJobQueue(), queue_is_volatile=True).running():
        await workers.handler.wait_for(due)
        await workers.handler.wait_for(due_later)
    assert sorted(workers.handler.processed) == sorted([due.id, due_later.id])


async def test_a_worker_receives_no_more_messages_than_it_can_process(workers: Workers):
    queue, release = LocalJobQueue(), asyncio.Event()
    started: list[str] = []

    class BlockedHandler(Handler):
        async def run(self, attempt: Attempt) -> None:
            started.append(attempt.job.id)
            await release.wait()
            await super().run(attempt)

    workers.handler = BlockedHandler()
    jobs = [await workers.add_job(due_in=0) for _ in range(worker_module._CONCURRENCY + 3)]
    for job in jobs:
        await queue.send(OWNER, job.id)
    async with workers.make(queue).running():
        await wait_until(lambda: len(started) == worker_module._CONCURRENCY)
        assert await queue.depth() == 3
        release.set()
        for job in jobs:
            await workers.handler.wait_for(job)


async def test_a_worker_that_stops_lets_running_jobs_finish(workers: Workers, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker_module, "_STOP_SECONDS", 600)
    queue, release = LocalJobQueue(), asyncio.Event()
    started = asyncio.Event()

    class SlowHandler(Handler):
        async def run(self, attempt: Attempt) -> None:
            started.set()
            await release.wait()
            await super().run(attempt)

    workers.handler = SlowHandler()
    job = await workers.add_job(due_in=0)
    await queue.send(OWNER, job.id)
    async with workers.make(queue).running():
        await started.wait()
        asyncio.get_running_loop().call_later(0.1, release.set)
    assert workers.handler.processed == [job.id]
