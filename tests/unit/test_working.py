"""The life of a job: claimed, renewed, settled; with real tables and the real queue, and handlers made here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.adapters.local_queue import LocalJobQueue
from app.adapters.prometheus import PrometheusMetrics
from app.adapters.sqlite import SqliteJobTable, open_sqlite
from app.core.errors import CatalogUnavailable, DependencyUnavailable, ProductUnknown
from app.core.ids import new_id
from app.core.jobs import Job, JobError, JobKind, JobMessage, JobStatus
from app.core.models import ClaimLost
from app.usecases import working
from app.usecases.cursors import Cursors
from app.usecases.failures import MAX_ATTEMPTS
from app.usecases.jobs import Jobs
from app.usecases.working import Attempt, Work
from tests.failing import Failing
from tests.reconciling import system_clock

OWNER = "ada"


@dataclass
class Handling:
    """Does what a test says, and counts."""

    do: Callable[[Attempt], Awaitable[None]]
    runs: int = 0
    given_up: list[JobError] = field(default_factory=list)

    async def run(self, attempt: Attempt) -> None:
        self.runs += 1
        await self.do(attempt)

    async def give_up(self, job: Job, error: JobError) -> None:
        self.given_up.append(error)


@dataclass
class Bench:
    table: SqliteJobTable
    queue: LocalJobQueue
    jobs: Jobs

    def work(self, handling: Handling, *, table: Any = None) -> Work:
        return Work(
            table=table or self.table,
            queue=self.queue,
            handlers=dict.fromkeys(JobKind, handling),
            metrics=PrometheusMetrics(),
            clock=system_clock,
        )

    async def add(self, kind: JobKind = JobKind.FETCH) -> Job:
        job = await self.jobs.add(OWNER, kind)
        await self.jobs.send(job)
        return job

    async def message(self) -> JobMessage:
        (message,) = await self.queue.receive(limit=1, hide_seconds=60)
        return message

    async def look(self, job: Job) -> Job:
        found = await self.table.find_job(OWNER, job.id)
        assert found
        return found

    async def make_due(self, job: Job) -> None:
        """Let its time come at once."""
        now = await self.look(job)
        await self.table._database.execute(  # the clock that would do it is hours away
            "UPDATE jobs SET due_at = '2020-01-01T00:00:00.000000+00:00' WHERE id = ?", now.id
        )


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_sqlite(tmp_path / "db") as database:
        table, queue = SqliteJobTable(database), LocalJobQueue(wait_seconds=0.2)
        yield Bench(table, queue, Jobs(table=table, queue=queue, cursors=Cursors(b"k" * 32), clock=system_clock))


async def nothing(attempt: Attempt) -> None:
    pass


def raising(error: Exception) -> Callable[[Attempt], Awaitable[None]]:
    async def do(attempt: Attempt) -> None:
        raise error

    return do


async def test_a_job_that_was_done_is_completed_and_its_message_gone(bench: Bench):
    job = await bench.add()
    await bench.work(Handling(nothing)).carry_out(await bench.message())
    done = await bench.look(job)
    assert (done.status, done.progress, done.attempts, done.due_at) == (JobStatus.COMPLETED, 100, 1, None)
    assert await bench.queue.receive(limit=1, hide_seconds=1) == []


async def test_a_message_that_comes_twice_is_worked_on_once(bench: Bench):
    job = await bench.add()
    first = await bench.message()
    await bench.jobs.send(job)
    second = await bench.message()
    handling = Handling(nothing)
    work = bench.work(handling)
    await asyncio.gather(work.carry_out(first), work.carry_out(second))
    await work.carry_out(second)
    assert handling.runs == 1
    assert (await bench.look(job)).attempts == 1


async def test_an_answer_for_the_user_ends_the_job_at_once(bench: Bench):
    job = await bench.add()
    handling = Handling(raising(ProductUnknown()))
    await bench.work(handling).carry_out(await bench.message())
    failed = await bench.look(job)
    assert failed.status is JobStatus.FAILED
    assert failed.error == JobError("product_unknown", ProductUnknown.default_detail)
    assert handling.given_up == [failed.error]
    assert await bench.queue.receive(limit=1, hide_seconds=1) == []


async def test_a_passing_failure_is_tried_again_later(bench: Bench):
    job = await bench.add()
    await bench.work(Handling(raising(CatalogUnavailable(retry_after=30)))).carry_out(await bench.message())
    waiting = await bench.look(job)
    assert waiting.status is JobStatus.RETRYING
    assert waiting.attempts == 1
    assert waiting.error
    assert waiting.error.code == "catalog_unavailable"
    assert waiting.due_at
    assert waiting.due_at > datetime.now(UTC) + timedelta(seconds=25)


async def test_after_its_last_attempt_it_has_failed_and_its_message_is_left_to_the_dead_letters(bench: Bench):
    job = await bench.add()
    message = await bench.message()
    handling = Handling(raising(CatalogUnavailable(retry_after=0)))
    work = bench.work(handling)
    for _ in range(MAX_ATTEMPTS):
        await bench.make_due(job)
        await work.carry_out(message)
    failed = await bench.look(job)
    assert (failed.status, failed.attempts, handling.runs) == (JobStatus.FAILED, MAX_ATTEMPTS, MAX_ATTEMPTS)
    assert [error.code for error in handling.given_up] == ["catalog_unavailable"]
    assert [again.job_id for again in await bench.queue.receive(limit=1, hide_seconds=1)] == [job.id]


async def test_what_every_job_depends_on_uses_up_no_attempts(bench: Bench):
    job = await bench.add()
    work = bench.work(Handling(raising(DependencyUnavailable("store"))))
    for _ in range(MAX_ATTEMPTS + 2):
        await bench.make_due(job)
        await bench.jobs.send(job)
        await work.carry_out(await bench.message())
    waiting = await bench.look(job)
    assert (waiting.status, waiting.attempts) == (JobStatus.RETRYING, 0)


async def test_a_job_whose_turn_has_not_come_is_still_queued(bench: Bench):
    job = await bench.add()
    error = CatalogUnavailable(retry_after=60, attempted=False)
    await bench.work(Handling(raising(error))).carry_out(await bench.message())
    waiting = await bench.look(job)
    assert (waiting.status, waiting.attempts, waiting.error) == (JobStatus.QUEUED, 0, None)
    assert bench.queue._delayed == 1


@pytest.mark.parametrize("kind", JobKind)
async def test_an_outage_ends_a_job_after_a_day_unless_its_owner_cannot_come_again(bench: Bench, kind: JobKind):
    now = datetime.now(UTC)
    job = Job(new_id(), OWNER, kind, now - timedelta(days=2), now, now)
    await bench.table.add_job(job)
    work = bench.work(Handling(raising(DependencyUnavailable("store"))))
    for status in (JobStatus.RETRYING, JobStatus.RETRYING if kind is JobKind.LEAVE else JobStatus.FAILED):
        await bench.make_due(job)
        await bench.jobs.send(job)
        await work.carry_out(await bench.message())
        assert (await bench.look(job)).status is status
    if kind is not JobKind.LEAVE:
        # Its message is left for the dead letters: this is not its user's doing.
        assert [again.job_id for again in await bench.queue.receive(limit=1, hide_seconds=1)] == [job.id]


async def test_a_fault_of_ours_is_told_without_its_words(bench: Bench):
    job = await bench.add()
    await bench.work(Handling(raising(ValueError("a secret")))).carry_out(await bench.message())
    waiting = await bench.look(job)
    assert waiting.status is JobStatus.RETRYING
    assert waiting.error
    assert waiting.error.code == "internal"
    assert "secret" not in waiting.error.detail


async def test_a_job_that_takes_its_worker_down_is_not_tried_for_ever(bench: Bench):
    job = await bench.add()
    message = await bench.message()
    for _ in range(MAX_ATTEMPTS):
        await bench.make_due(job)
        later = datetime.now(UTC) + timedelta(seconds=30)
        assert await bench.table.claim_job(OWNER, job.id, claim=new_id(), now=datetime.now(UTC), lease_until=later)
    await bench.make_due(job)
    handling = Handling(nothing)
    await bench.work(handling).carry_out(message)
    assert (await bench.look(job)).status is JobStatus.FAILED
    assert handling.runs == 0
    assert [error.code for error in handling.given_up] == ["internal"]


async def test_a_worker_that_is_stopped_hands_its_job_back(bench: Bench):
    job = await bench.add()
    begun = asyncio.Event()

    async def for_ever(attempt: Attempt) -> None:
        begun.set()
        await asyncio.sleep(3600)

    task = asyncio.create_task(bench.work(Handling(for_ever)).carry_out(await bench.message()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    back = await bench.look(job)
    assert (back.status, back.attempts) == (JobStatus.QUEUED, 0)
    handling = Handling(nothing)
    await bench.work(handling).carry_out(await bench.message())
    assert handling.runs == 1


async def test_an_attempt_that_lost_its_lease_changes_nothing(bench: Bench):
    job = await bench.add()

    async def overtaken(attempt: Attempt) -> None:
        await bench.make_due(job)
        later = datetime.now(UTC) + timedelta(seconds=30)
        assert await bench.table.claim_job(OWNER, job.id, claim="another", now=datetime.now(UTC), lease_until=later)
        with pytest.raises(ClaimLost):
            await attempt.report(progress=50)
        await attempt.report(progress=50)

    await bench.work(Handling(overtaken)).carry_out(await bench.message())
    there = await bench.look(job)
    assert (there.status, there.claim, there.progress) == (JobStatus.RUNNING, "another", 0)


async def test_a_long_job_keeps_its_lease_and_its_message(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(working, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(working, "_MARGIN_SECONDS", 0.1)
    job = await bench.add()
    others: list[Job | None] = []

    async def slow(attempt: Attempt) -> None:
        for _ in range(15):
            await asyncio.sleep(0.1)
            now = datetime.now(UTC)
            others.append(await bench.table.claim_job(OWNER, job.id, claim="thief", now=now, lease_until=now))

    await bench.work(Handling(slow)).carry_out(await bench.message())
    assert (await bench.look(job)).status is JobStatus.COMPLETED
    assert others == [None] * 15


async def test_an_attempt_that_cannot_renew_stops_before_another_begins(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(working, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(working, "_MARGIN_SECONDS", 0.1)
    job = await bench.add()
    ended_at: list[datetime] = []

    async def slow(attempt: Attempt) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended_at.append(datetime.now(UTC))

    table = Failing(bench.table, on="save_job")
    await bench.work(Handling(slow), table=table).carry_out(await bench.message())
    there = await bench.look(job)
    assert there.status is JobStatus.RUNNING
    assert there.due_at
    assert ended_at[0] < there.due_at


async def test_progress_is_seen_while_the_job_runs(bench: Bench):
    job = await bench.add()

    async def halfway(attempt: Attempt) -> None:
        await attempt.report(progress=50, image_id="an image")
        seen = await bench.look(job)
        assert (seen.status, seen.progress, seen.image_id) == (JobStatus.RUNNING, 50, "an image")

    await bench.work(Handling(halfway)).carry_out(await bench.message())
    assert (await bench.look(job)).image_id == "an image"


async def test_a_message_about_no_job_is_removed(bench: Bench):
    await bench.queue.send(OWNER, new_id())
    handling = Handling(nothing)
    await bench.work(handling).carry_out(await bench.message())
    assert handling.runs == 0
    assert await bench.queue.receive(limit=1, hide_seconds=1) == []


async def test_a_job_that_could_not_be_settled_is_done_again(bench: Bench):
    job = await bench.add()
    handling = Handling(nothing)
    message = await bench.message()
    with pytest.raises(DependencyUnavailable):
        await bench.work(handling, table=Failing(bench.table, on="save_job", times=1)).carry_out(message)
    await bench.make_due(job)
    await bench.work(handling).carry_out(replace(message))
    assert (await bench.look(job)).status is JobStatus.COMPLETED
    assert handling.runs == 2


async def test_an_outage_of_the_table_uses_up_no_delivery(bench: Bench):
    job = await bench.add()
    table = Failing(bench.table, on="claim_job")
    with pytest.raises(DependencyUnavailable):
        await bench.work(Handling(nothing), table=table).carry_out(await bench.message())
    assert bench.queue._delayed == 1
    assert (await bench.look(job)).status is JobStatus.QUEUED
