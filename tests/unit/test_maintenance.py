"""Tests of the periodic work of the workers: requeueing stale jobs, and one reconcile run per day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.consistency.report import ReconcileReport
from app.domain.errors import DependencyUnavailable
from app.domain.ids import new_id
from app.domain.images import Quota
from app.domain.jobs import Job
from app.jobs.maintenance import Maintenance
from app.queues.local import LocalJobQueue
from app.tables.sqlite import (
    SqliteAccountTable,
    SqliteDatabase,
    SqliteIdempotencyTable,
    SqliteImageTable,
    SqliteJobTable,
    SqliteOwnerIndex,
    open_sqlite,
)
from tests.contracts.tables import make_account, make_image, make_session
from tests.unit.clock import NOON, ManualClock


class CountingReconciler:
    """A reconciler that only counts its runs. The first runs fail."""

    def __init__(self, *, failing_runs: int = 0) -> None:
        self.runs = 0
        self._failing_runs = failing_runs

    async def run_until(self, _: float) -> ReconcileReport:
        self.runs += 1
        await asyncio.sleep(0.01)
        if self.runs <= self._failing_runs:
            raise DependencyUnavailable("store")
        return ReconcileReport()


class BlockedReconciler:
    """A reconciler whose run does not end."""

    async def run_until(self, _: float) -> None:
        await asyncio.Event().wait()


class UnfinishedReconciler:
    """A reconciler that reaches its deadline in its first call."""

    def __init__(self) -> None:
        self.deadlines: list[float] = []

    async def run_until(self, deadline: float) -> ReconcileReport | None:
        self.deadlines.append(deadline)
        return ReconcileReport() if len(self.deadlines) > 1 else None


@dataclass
class Parts:
    database: SqliteDatabase
    jobs: SqliteJobTable
    idempotency: SqliteIdempotencyTable
    queue: LocalJobQueue
    clock: ManualClock

    def maintenance(self, reconciler: Any = None) -> Maintenance:
        unused: Any = None
        return Maintenance(
            jobs=self.jobs,
            queue=self.queue,
            idempotency=self.idempotency,
            deletion=unused,
            upload_expiry=unused,
            event_dispatch=unused,
            reconciler=reconciler,
            images=SqliteImageTable(self.database),
            accounts=SqliteAccountTable(self.database),
            owner_index=SqliteOwnerIndex(self.database),
            clock=self.clock,
        )

    async def add_job(self, *, overdue: timedelta) -> str:
        due_at = NOON - overdue
        job = Job(new_id(), "ada", "fetch", due_at, due_at, due_at)
        await self.jobs.add_job(job)
        return job.id

    async def received(self) -> set[str]:
        return {message.job_id for message in await self.queue.receive(limit=10, visibility_timeout_seconds=3600)}


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with open_sqlite(tmp_path / "db") as database:
        clock = ManualClock()
        jobs = SqliteJobTable(database, clock=clock)
        yield Parts(database, jobs, SqliteIdempotencyTable(database), LocalJobQueue(wait_seconds=0), clock)


async def test_without_a_backlog_overdue_jobs_are_requeued_after_30_seconds(parts: Parts):
    stale = await parts.add_job(overdue=timedelta(seconds=31))
    await parts.add_job(overdue=timedelta(seconds=30))
    await parts.maintenance().requeue_stale_jobs()
    assert await parts.received() == {stale}


async def test_with_a_backlog_overdue_jobs_are_requeued_after_five_minutes(parts: Parts):
    await parts.queue.send("ada", "another")
    stale = await parts.add_job(overdue=timedelta(minutes=6))
    await parts.add_job(overdue=timedelta(minutes=4))
    await parts.maintenance().requeue_stale_jobs()
    assert await parts.received() == {"another", stale}


async def test_requeue_all_sends_due_jobs_now_and_others_with_a_delay(parts: Parts):
    due = await parts.add_job(overdue=timedelta())
    await parts.add_job(overdue=-timedelta(minutes=10))
    await parts.add_job(overdue=-timedelta(hours=1))
    await parts.maintenance().requeue_all()
    assert await parts.received() == {due}
    # The job of the last hour is due so late that the sweep requeues it.
    assert parts.queue._delayed == 1


async def test_one_of_many_workers_reconciles_once_per_day(parts: Parts):
    reconciler = CountingReconciler()
    await asyncio.gather(*(parts.maintenance(reconciler).reconcile_daily() for _ in range(8)))
    parts.clock.advance(hours=7)
    await parts.maintenance(reconciler).reconcile_daily()
    assert reconciler.runs == 1
    parts.clock.advance(days=1)
    await parts.maintenance(reconciler).reconcile_daily()
    assert reconciler.runs == 2


async def test_users_of_earlier_versions_are_added_to_the_index_once(parts: Parts):
    account, owners = make_account("ada@example.com"), SqliteOwnerIndex(parts.database)
    await SqliteAccountTable(parts.database).add_account(account, session=make_session(account.id))
    await SqliteImageTable(parts.database).add(make_image("firebase-user"), quota=Quota())
    reconciler = CountingReconciler()
    await parts.maintenance(reconciler).reconcile_daily()
    indexed = await owners.page_owners(after=None, limit=10)
    assert sorted(indexed) == sorted([account.id, "firebase-user"])
    # The whole table is read only once. Without that, the removed user would be added again.
    await owners.remove_owner("firebase-user")
    parts.clock.advance(days=400)
    await parts.maintenance(reconciler).reconcile_daily()
    assert (reconciler.runs, await owners.page_owners(after=None, limit=10)) == (2, [account.id])


async def test_a_failed_reconcile_run_is_repeated(parts: Parts):
    reconciler = CountingReconciler(failing_runs=1)
    with pytest.raises(DependencyUnavailable):
        await parts.maintenance(reconciler).reconcile_daily()
    await parts.maintenance(reconciler).reconcile_daily()
    await parts.maintenance(reconciler).reconcile_daily()
    assert reconciler.runs == 2


async def test_an_unfinished_run_is_continued_by_the_next_call(parts: Parts):
    reconciler = UnfinishedReconciler()
    assert not await parts.maintenance(reconciler).reconcile_daily(deadline=10)
    assert await parts.maintenance(reconciler).reconcile_daily(deadline=20)
    assert await parts.maintenance(reconciler).reconcile_daily(deadline=30)
    assert reconciler.deadlines == [10, 20]


async def test_another_worker_reconciles_when_the_lease_of_a_dead_worker_has_ended(parts: Parts):
    reconciler = CountingReconciler()
    dead = asyncio.create_task(parts.maintenance(BlockedReconciler()).reconcile_daily())
    while await parts.idempotency.find("service", f"reconcile {NOON:%Y-%m-%d}") is None:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.005)
    await parts.maintenance(reconciler).reconcile_daily()
    assert reconciler.runs == 0
    parts.clock.advance(hours=6)
    await parts.maintenance(reconciler).reconcile_daily()
    assert reconciler.runs == 1
    dead.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dead
