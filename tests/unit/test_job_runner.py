"""Tests of the job runner: claims, leases, retries and outcomes, with a real table and a real queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.common.pagination import Cursors
from app.common.rate_limit import RateLimiter
from app.domain.accounts import User
from app.domain.claims import ClaimLost
from app.domain.errors import CatalogUnavailable, DependencyUnavailable, ProductUnknown
from app.domain.events import Event
from app.domain.ids import new_id
from app.domain.jobs import Job, JobError, JobMessage, JobStatus
from app.jobs import attempt as attempt_module
from app.jobs import runner as runner_module
from app.jobs.attempt import LEASE_SECONDS, Attempt
from app.jobs.registry import JobRegistry, JobResult, JobSpec
from app.jobs.retry_policy import MAX_ATTEMPTS
from app.jobs.runner import JobRunner
from app.jobs.service import JobService
from app.observability.metrics import PrometheusMetrics
from app.queues.local import LocalJobQueue
from app.tables.sqlite import SqliteCounterTable, SqliteJobTable, open_sqlite
from tests.failing import Failing
from tests.no_events import NO_EVENTS
from tests.unit.clock import ManualClock

USER = User("ada")
KIND = "fetch"


@dataclass
class Handler:
    """A job handler that does what a test specifies, and counts its calls."""

    action: Callable[[Attempt], Awaitable[None]]
    runs: int = 0
    errors: list[JobError] = field(default_factory=list)
    """The errors with which it was told to give up."""

    async def run(self, attempt: Attempt) -> None:
        self.runs += 1
        await self.action(attempt)

    async def give_up(self, job: Job, error: JobError) -> None:
        self.errors.append(error)


async def succeed(attempt: Attempt) -> None:
    pass


async def run_forever(attempt: Attempt) -> None:
    await asyncio.Event().wait()


def fail_with(error: Exception) -> Callable[[Attempt], Awaitable[None]]:
    async def fail(attempt: Attempt) -> None:
        raise error

    return fail


async def no_result(job: Job) -> JobResult:
    return JobResult()


class WatchedQueue(LocalJobQueue):
    """Counts the changes of visibility timeouts."""

    visibility_changes = 0

    async def change_visibility(self, message: JobMessage, *, timeout_seconds: int) -> None:
        self.visibility_changes += 1
        await super().change_visibility(message, timeout_seconds=timeout_seconds)


@dataclass
class Jobs:
    table: SqliteJobTable
    queue: WatchedQueue
    service: JobService
    clock: ManualClock

    def runner(
        self, handler: Handler, *, kind: str = KIND, table: Any = None, retries_forever: bool = False
    ) -> JobRunner:
        spec = JobSpec(kind, "Testing", handler, no_result, retries_forever=retries_forever)
        return JobRunner(
            table=table or self.table,
            queue=self.queue,
            registry=JobRegistry([spec]),
            events=NO_EVENTS,
            metrics=PrometheusMetrics(),
            clock=self.clock,
        )

    async def add(self) -> Job:
        job = await self.service.add(USER, KIND)
        await self.service.send(job)
        return job

    async def message(self) -> JobMessage:
        (message,) = await self.queue.receive(limit=1, visibility_timeout_seconds=3600)
        return message

    async def visible_job_ids(self) -> list[str]:
        """Receive all visible messages."""
        messages = await self.queue.receive(limit=10, visibility_timeout_seconds=3600)
        return [message.job_id for message in messages]

    @property
    def messages(self) -> int:
        """How many messages there are: visible, invisible and delayed ones."""
        return self.queue._size()

    async def read(self, job: Job) -> Job:
        current = await self.table.find_job(job.owner_id, job.id)
        assert current
        return current

    async def claim(self, job: Job, claim: str) -> Job | None:
        """Try to claim the job as another worker would."""
        lease_until = self.clock() + timedelta(seconds=LEASE_SECONDS)
        return await self.table.claim_job(job.owner_id, job.id, claim=claim, now=self.clock(), lease_until=lease_until)

    async def make_due(self, job: Job) -> None:
        """Advance the clock until the job may be claimed."""
        due_at = (await self.read(job)).due_at
        assert due_at
        self.clock.now = max(self.clock.now, due_at)


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    async with open_sqlite(tmp_path / "db") as database:
        clock, queue = ManualClock(), WatchedQueue(wait_seconds=0)
        table = SqliteJobTable(database, clock=clock)
        service = JobService(
            table=table,
            queue=queue,
            limiter=RateLimiter(SqliteCounterTable(database), key=b"k" * 32, clock=clock),
            cursors=Cursors(b"k" * 32),
            clock=clock,
        )
        yield Jobs(table, queue, service, clock)


def set_lease(monkeypatch: pytest.MonkeyPatch, *, seconds: float, margin: float, renewal_seconds: float) -> None:
    for module in (attempt_module, runner_module):
        monkeypatch.setattr(module, "LEASE_SECONDS", seconds)
        monkeypatch.setattr(module, "MARGIN_SECONDS", margin)
    monkeypatch.setattr(runner_module, "_RENEWALS_PER_LEASE", seconds / renewal_seconds)


# Outcomes


async def test_a_job_without_errors_is_completed_and_its_message_acknowledged(jobs: Jobs):
    job = await jobs.add()
    await jobs.runner(Handler(succeed)).process(await jobs.message())
    completed = await jobs.read(job)
    assert (completed.status, completed.progress, completed.attempts) == (JobStatus.COMPLETED, 100, 1)
    assert (completed.due_at, completed.error) == (None, None)
    assert jobs.messages == 0


async def test_a_message_that_is_delivered_twice_causes_one_attempt(jobs: Jobs):
    job = await jobs.add()
    first = await jobs.message()
    await jobs.service.send(job)
    second = await jobs.message()
    handler = Handler(succeed)
    runner = jobs.runner(handler)
    await asyncio.gather(runner.process(first), runner.process(second))
    await runner.process(second)
    assert handler.runs == 1
    assert (await jobs.read(job)).attempts == 1


async def test_a_permanent_error_fails_the_job_immediately(jobs: Jobs):
    job = await jobs.add()
    handler = Handler(fail_with(ProductUnknown()))
    await jobs.runner(handler).process(await jobs.message())
    failed = await jobs.read(job)
    assert failed.status is JobStatus.FAILED
    assert failed.error == JobError("product_unknown", ProductUnknown.default_detail)
    assert handler.errors == [failed.error]
    assert jobs.messages == 0


async def test_progress_and_image_are_visible_while_the_job_is_running(jobs: Jobs):
    job = await jobs.add()

    async def report(attempt: Attempt) -> None:
        await attempt.report(progress=50, image_id="an image")
        running = await jobs.read(job)
        assert (running.status, running.progress, running.image_id) == (JobStatus.RUNNING, 50, "an image")

    await jobs.runner(Handler(report)).process(await jobs.message())
    assert (await jobs.read(job)).image_id == "an image"


async def test_a_message_without_a_job_is_acknowledged(jobs: Jobs):
    await jobs.queue.send(USER.id, new_id())
    handler = Handler(succeed)
    await jobs.runner(handler).process(await jobs.message())
    assert handler.runs == 0
    assert jobs.messages == 0


async def test_a_job_of_an_unknown_kind_is_requeued_for_a_worker_of_another_version(jobs: Jobs):
    job = await jobs.add()
    other = Handler(succeed)
    await jobs.runner(other, kind="another").process(await jobs.message())
    waiting = await jobs.read(job)
    assert (waiting.status, waiting.attempts, waiting.error) == (JobStatus.QUEUED, 0, None)
    assert waiting.due_at
    assert waiting.due_at > jobs.clock.now
    assert (other.runs, other.errors) == (0, [])
    assert jobs.queue._delayed == jobs.messages == 1
    await jobs.make_due(job)
    await jobs.service.send(job)
    await jobs.runner(Handler(succeed)).process(await jobs.message())
    assert (await jobs.read(job)).status is JobStatus.COMPLETED


# Retries


async def test_a_transient_error_is_retried_after_the_requested_delay(jobs: Jobs):
    job = await jobs.add()
    await jobs.runner(Handler(fail_with(CatalogUnavailable(retry_after=30)))).process(await jobs.message())
    waiting = await jobs.read(job)
    assert (waiting.status, waiting.attempts) == (JobStatus.RETRYING, 1)
    assert waiting.error
    assert waiting.error.code == "catalog_unavailable"
    assert waiting.due_at == jobs.clock.now + timedelta(seconds=30)
    assert await jobs.visible_job_ids() == []
    assert jobs.messages == 1


async def test_after_its_last_attempt_a_job_has_failed_and_its_message_stays_for_the_dead_letter_queue(jobs: Jobs):
    job = await jobs.add()
    message = await jobs.message()
    handler = Handler(fail_with(CatalogUnavailable(retry_after=600)))
    runner = jobs.runner(handler)
    for _ in range(MAX_ATTEMPTS):
        await jobs.make_due(job)
        await runner.process(message)
    failed = await jobs.read(job)
    assert (failed.status, failed.attempts, handler.runs) == (JobStatus.FAILED, MAX_ATTEMPTS, MAX_ATTEMPTS)
    assert [error.code for error in handler.errors] == ["catalog_unavailable"]
    assert await jobs.visible_job_ids() == [job.id]


async def test_the_outage_of_a_dependency_uses_up_no_attempts(jobs: Jobs):
    job = await jobs.add()
    runner = jobs.runner(Handler(fail_with(DependencyUnavailable("store"))))
    for _ in range(MAX_ATTEMPTS + 2):
        await jobs.make_due(job)
        await jobs.service.send(job)
        await runner.process(await jobs.message())
    waiting = await jobs.read(job)
    assert (waiting.status, waiting.attempts) == (JobStatus.RETRYING, 0)


async def test_a_job_that_waits_for_the_rate_limit_of_the_catalog_is_still_queued(jobs: Jobs):
    job = await jobs.add()
    error = CatalogUnavailable(retry_after=60, attempted=False)
    await jobs.runner(Handler(fail_with(error))).process(await jobs.message())
    waiting = await jobs.read(job)
    assert (waiting.status, waiting.attempts, waiting.error) == (JobStatus.QUEUED, 0, None)
    assert jobs.queue._delayed == jobs.messages == 1


@pytest.mark.parametrize("retries_forever", [False, True])
async def test_an_outage_of_more_than_a_day_fails_a_job_unless_it_is_retried_forever(
    jobs: Jobs, *, retries_forever: bool
):
    job = await jobs.add()
    await jobs.message()
    jobs.clock.advance(days=2)
    handler = Handler(fail_with(DependencyUnavailable("store")))
    runner = jobs.runner(handler, retries_forever=retries_forever)
    # The first error is never the last: the job may be old because no worker was running.
    for status in (JobStatus.RETRYING, JobStatus.RETRYING if retries_forever else JobStatus.FAILED):
        await jobs.make_due(job)
        await jobs.service.send(job)
        await runner.process(await jobs.message())
        assert (await jobs.read(job)).status is status
    assert len(handler.errors) == (0 if retries_forever else 1)
    # An operator should look into the failure, so the message stays for the dead-letter queue.
    assert await jobs.visible_job_ids() == ([] if retries_forever else [job.id])


async def test_a_job_that_is_retried_forever_has_no_last_attempt(jobs: Jobs):
    job = await jobs.add()
    message = await jobs.message()
    handler = Handler(fail_with(CatalogUnavailable(retry_after=600)))
    runner = jobs.runner(handler, retries_forever=True)
    for _ in range(MAX_ATTEMPTS):
        await jobs.make_due(job)
        await runner.process(message)
    assert (await jobs.read(job)).status is JobStatus.RETRYING
    assert handler.errors == []


async def test_the_message_of_an_unexpected_exception_is_not_shown_to_the_user(jobs: Jobs):
    job = await jobs.add()
    await jobs.runner(Handler(fail_with(ValueError("a secret")))).process(await jobs.message())
    waiting = await jobs.read(job)
    assert waiting.status is JobStatus.RETRYING
    assert waiting.error
    assert waiting.error.code == "internal"
    assert "secret" not in waiting.error.detail


async def test_a_job_whose_workers_die_fails_after_the_last_attempt(jobs: Jobs):
    job = await jobs.add()
    message = await jobs.message()
    for _ in range(MAX_ATTEMPTS):
        await jobs.make_due(job)
        assert await jobs.claim(job, new_id())
    await jobs.make_due(job)
    handler = Handler(succeed)
    await jobs.runner(handler).process(message)
    assert (await jobs.read(job)).status is JobStatus.FAILED
    assert handler.runs == 0
    assert [error.code for error in handler.errors] == ["internal"]


async def test_a_job_whose_outcome_could_not_be_saved_is_processed_again(jobs: Jobs):
    job = await jobs.add()
    handler = Handler(succeed)
    table = Failing(jobs.table, on="save_job", times=1)
    with pytest.raises(DependencyUnavailable):
        await jobs.runner(handler, table=table).process(await jobs.message())
    assert jobs.queue._delayed == 1
    await jobs.make_due(job)
    await jobs.service.send(job)
    await jobs.runner(handler).process(await jobs.message())
    assert (await jobs.read(job)).status is JobStatus.COMPLETED
    assert handler.runs == 2


async def test_an_outage_of_the_table_uses_up_no_delivery(jobs: Jobs):
    job = await jobs.add()
    table = Failing(jobs.table, on="claim_job")
    with pytest.raises(DependencyUnavailable):
        await jobs.runner(Handler(succeed), table=table).process(await jobs.message())
    # The message was replaced by a new, delayed one whose deliveries are counted from the start.
    assert jobs.queue._delayed == jobs.messages == 1
    assert (await jobs.read(job)).status is JobStatus.QUEUED


# Leases


async def test_a_worker_that_is_stopped_returns_its_job(jobs: Jobs):
    job = await jobs.add()
    started = asyncio.Event()

    async def run(attempt: Attempt) -> None:
        started.set()
        await run_forever(attempt)

    task = asyncio.create_task(jobs.runner(Handler(run)).process(await jobs.message()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    returned = await jobs.read(job)
    assert (returned.status, returned.attempts) == (JobStatus.QUEUED, 0)
    handler = Handler(succeed)
    await jobs.runner(handler).process(await jobs.message())
    assert handler.runs == 1


async def test_an_attempt_that_lost_its_lease_changes_nothing(jobs: Jobs):
    job = await jobs.add()

    async def lose_lease(attempt: Attempt) -> None:
        await jobs.make_due(job)
        assert await jobs.claim(job, "another")
        with pytest.raises(ClaimLost):
            await attempt.report(progress=50)
        await attempt.report(progress=50)

    handler = Handler(lose_lease)
    await jobs.runner(handler).process(await jobs.message())
    current = await jobs.read(job)
    assert (current.status, current.claim, current.progress) == (JobStatus.RUNNING, "another", 0)
    assert handler.errors == []
    # The message stays, invisible until the other worker's lease ends.
    assert await jobs.visible_job_ids() == []
    assert jobs.messages == 1


async def test_a_long_attempt_keeps_its_lease_and_its_message(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    set_lease(monkeypatch, seconds=600, margin=5, renewal_seconds=0.05)
    job = await jobs.add()

    async def run_for_three_leases(attempt: Attempt) -> None:
        for _ in range(4):
            jobs.clock.advance(seconds=500)
            changes = jobs.queue.visibility_changes
            # A renewal that has started may still use the old time. After three, the lease is based on the new time.
            while jobs.queue.visibility_changes < changes + 3:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.005)
            assert (await jobs.read(job)).due_at == jobs.clock.now + timedelta(seconds=600)
            assert await jobs.claim(job, "another") is None

    await jobs.runner(Handler(run_for_three_leases)).process(await jobs.message())
    completed = await jobs.read(job)
    assert (completed.status, completed.attempts) == (JobStatus.COMPLETED, 1)


async def test_a_report_renews_the_lease_unless_that_was_done_recently(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    job = await jobs.add()
    lease = timedelta(seconds=attempt_module.LEASE_SECONDS)

    async def report(attempt: Attempt) -> None:
        claimed_until = (await jobs.read(job)).due_at
        monkeypatch.setattr(attempt_module, "_RENEWED_AFTER_SECONDS", 600)
        jobs.clock.advance(seconds=1)
        await attempt.report(progress=50)
        current = await jobs.read(job)
        assert (current.due_at, current.progress) == (claimed_until, 50)
        await attempt.report()
        assert (await jobs.read(job)).due_at == jobs.clock.now + lease
        monkeypatch.setattr(attempt_module, "_RENEWED_AFTER_SECONDS", 0)
        jobs.clock.advance(seconds=1)
        await attempt.report(progress=60)
        current = await jobs.read(job)
        assert (current.due_at, current.progress) == (jobs.clock.now + lease, 60)

    await jobs.runner(Handler(report)).process(await jobs.message())
    assert (await jobs.read(job)).status is JobStatus.COMPLETED


class HeldTable:
    """Holds the first change of a job until `release` is set."""

    def __init__(self, table: SqliteJobTable) -> None:
        self._table = table
        self.reached, self.release = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def save_job(self, job: Job, *, events: Sequence[Event] = ()) -> bool:
        if not self.reached.is_set():
            self.reached.set()
            await self.release.wait()
        return await self._table.save_job(job, events=events)


async def test_concurrent_reports_do_not_undo_each_other(jobs: Jobs):
    job, table = await jobs.add(), HeldTable(jobs.table)
    seen: list[Job] = []

    async def report_twice(attempt: Attempt) -> None:
        first = asyncio.create_task(attempt.report(progress=40))
        await table.reached.wait()
        second = asyncio.create_task(attempt.report(image_id="image"))
        await asyncio.sleep(0.05)  # Without a lock, the second report would be saved now.
        table.release.set()
        await asyncio.gather(first, second)
        seen.append(await jobs.read(job))

    await jobs.runner(Handler(report_twice), table=table).process(await jobs.message())
    assert [(current.progress, current.image_id) for current in seen] == [(40, "image")]


@pytest.mark.parametrize("successful_renewals", [0, 3])
async def test_an_attempt_that_cannot_renew_its_lease_stops_before_the_lease_ends(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, successful_renewals: int
):
    # The attempt stops half a second after the last renewal, and the lease lasts ten minutes.
    set_lease(monkeypatch, seconds=600, margin=599.5, renewal_seconds=0.05)
    job = await jobs.add()
    loop = asyncio.get_running_loop()
    seconds: list[float] = []
    table = Failing(jobs.table, on="save_job", times=0)

    async def run(attempt: Attempt) -> None:
        started = loop.time()
        try:
            for _ in range(successful_renewals):
                await attempt.report()
            table._times = 1_000_000
            await run_forever(attempt)
        finally:
            seconds.append(loop.time() - started)

    await jobs.runner(Handler(run), table=table).process(await jobs.message())
    assert seconds[0] < 600
    current = await jobs.read(job)
    assert (current.status, current.due_at) == (JobStatus.RUNNING, jobs.clock.now + timedelta(seconds=600))
    assert jobs.messages == 1


async def test_an_attempt_that_exceeds_its_time_counts_and_is_retried(jobs: Jobs):
    handler = Handler(run_forever)
    job = await jobs.add()
    message = await jobs.message()
    now = asyncio.get_running_loop().time()
    await jobs.runner(handler).process(message, must_end_at=now + 0.1)
    stopped = await jobs.read(job)
    assert (stopped.status, stopped.attempts) == (JobStatus.RETRYING, 1)
    assert stopped.error
    assert stopped.error.code == "internal"
    assert jobs.messages == 1


async def test_an_attempt_that_made_progress_before_its_time_ended_does_not_count(jobs: Jobs):
    async def progress_forever(attempt: Attempt) -> None:
        await attempt.report(progress=attempt.job.progress + 1)
        await run_forever(attempt)

    job = await jobs.add()
    now = asyncio.get_running_loop().time()
    await jobs.runner(Handler(progress_forever)).process(await jobs.message(), must_end_at=now + 0.5)
    stopped = await jobs.read(job)
    assert (stopped.status, stopped.attempts, stopped.progress) == (JobStatus.QUEUED, 0, 1)
    assert await jobs.visible_job_ids() == [job.id]
