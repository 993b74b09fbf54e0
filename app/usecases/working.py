"""How a job is carried out: claimed under a lease, kept alive, and settled, whatever happens on the way.

The record decides, not the message: one that comes twice, or late, or after a worker was killed, finds out from the
record whether there is something left to do.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

import structlog

from app.core.clock import Clock
from app.core.errors import AppError, CatalogUnavailable, DependencyUnavailable, Internal
from app.core.ids import new_id
from app.core.jobs import Job, JobError, JobKind, JobMessage, JobStatus
from app.core.models import ClaimLost
from app.core.ports import JobQueue, JobTable, Metrics
from app.usecases import failures

LEASE_SECONDS = 20
"""How long after a worker's death its job is taken for abandoned."""
_RENEWALS = 3
"""Within one lease."""
_MARGIN_SECONDS = 5
"""How long before its lease would be over an attempt that could not renew it stops."""

_log = structlog.stdlib.get_logger(__name__)


class Handler(Protocol):
    """Does the jobs of one kind."""

    async def run(self, attempt: Attempt) -> None:
        """Do the job, or what an earlier attempt left of it. Raises AppError: those of status 5xx are passing.

        Two attempts may run at once for a moment, so everything that an attempt creates is either the same for both
        or written under `Job.job_claim`; the latter raises ClaimLost in the attempt that no longer holds the job.
        """
        ...

    async def give_up(self, job: Job, error: JobError) -> None:
        """Leave things as they should be after a job that has failed for good. Raises ClaimLost."""
        ...


class Attempt:
    """One worker's turn at a job, as long as its lease lasts."""

    def __init__(self, table: JobTable, job: Job, deadline: asyncio.Timeout, *, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._saving = asyncio.Lock()
        self._deadline = deadline
        self.job = job

    async def report(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Job, `progress` and `image_id`
        """Note how far it is, and renew the lease. Raises ClaimLost."""
        await self.save(due_in=LEASE_SECONDS, **changes)

    async def save(self, *, due_in: float | None, **changes: Any) -> None:  # noqa: ANN401 - fields of Job
        # Renewals and reports may come at once: the record must never go back to an older state.
        async with self._saving:
            asked_at = asyncio.get_running_loop().time()
            now = self._clock()
            due_at = None if due_in is None else now + timedelta(seconds=due_in)
            job = dataclasses.replace(self.job, **changes, due_at=due_at, updated_at=now)
            if not await self._table.save_job(job):
                raise ClaimLost
            self.job = job
            if job.status is JobStatus.RUNNING:
                self._deadline.reschedule(asked_at + LEASE_SECONDS - _MARGIN_SECONDS)


class Work:
    def __init__(
        self,
        *,
        table: JobTable,
        queue: JobQueue,
        handlers: Mapping[JobKind, Handler],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._table = table
        self._clock = clock
        self._queue = queue
        self._handlers = handlers
        self._metrics = metrics

    async def carry_out(self, message: JobMessage) -> None:
        """Do what the message asks for, if it is still to be done, and let it go or come again accordingly."""
        with structlog.contextvars.bound_contextvars(job_id=message.job_id, user_id=message.owner_id):
            try:
                await self._carry_out(message)
            except AppError as error:
                # However long this lasts, the message must not become a dead letter by being received in vain.
                await self._queue_anew(message, delay_seconds=failures.outage_pause(error))
                raise

    async def _carry_out(self, message: JobMessage) -> None:
        asked_at = asyncio.get_running_loop().time()
        now = self._clock()
        lease_until = now + timedelta(seconds=LEASE_SECONDS)
        job = await self._table.claim_job(
            message.owner_id, message.job_id, claim=new_id(), now=now, lease_until=lease_until
        )
        if job is None:
            await self._let_go(message)
            return
        try:
            await self._attempt(job, message, until=asked_at + LEASE_SECONDS - _MARGIN_SECONDS)
        except (ClaimLost, TimeoutError):
            _log.warning("job.lease_lost")
            await self._let_go(message)

    async def _attempt(self, job: Job, message: JobMessage, *, until: float) -> None:
        async with asyncio.timeout_at(until) as deadline:
            attempt = Attempt(self._table, job, deadline, clock=self._clock)
            try:
                error = await self._run_renewed(attempt, message)
            except asyncio.CancelledError:
                if not deadline.expired():
                    await asyncio.shield(self._hand_back(attempt, message))
                raise
            await self._settle(attempt, message, error)

    async def _run_renewed(self, attempt: Attempt, message: JobMessage) -> AppError | None:
        try:
            async with asyncio.TaskGroup() as group:
                renewal = group.create_task(self._renew(attempt, message))
                error = await self._run(attempt)
                renewal.cancel()
        except* ClaimLost:
            raise ClaimLost from None
        return error

    async def _renew(self, attempt: Attempt, message: JobMessage) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / _RENEWALS)
            try:
                await attempt.report()
                await self._queue.hide(message, seconds=LEASE_SECONDS)
            except AppError as error:
                # The next time may do, and the deadline ends the attempt if none does.
                _log.warning("job.lease_not_renewed", cause=error.code)

    async def _run(self, attempt: Attempt) -> AppError | None:
        job = attempt.job
        if job.attempts > failures.MAX_ATTEMPTS:
            # Whatever it is that ended each worker that was at it, nobody could tell.
            return Internal("It was begun several times and never came to its end.")
        _log.info("job.begun", kind=job.kind, attempt=job.attempts)
        try:
            await self._handlers[job.kind].run(attempt)
        except AppError as error:
            return error
        except ClaimLost:
            raise
        except Exception:  # noqa: BLE001 - a fault of ours; the next attempt may be luckier
            _log.exception("job.crashed")
            return Internal()
        return None

    async def _settle(self, attempt: Attempt, message: JobMessage, error: AppError | None) -> None:
        job = attempt.job
        if error is None:
            await attempt.save(due_in=None, status=JobStatus.COMPLETED, progress=100, error=None)
            self._tell("completed", job)
            await self._queue.acknowledge(message)
        elif failures.is_passing(error) and not failures.is_hopeless(job, error, now=self._clock()):
            await self._try_again(attempt, message, error)
        else:
            told = failures.told(error)
            await self._handlers[job.kind].give_up(job, told)
            await attempt.save(due_in=None, status=JobStatus.FAILED, error=told)
            self._tell("failed", job, error)
            await self._let_go(message)

    async def _try_again(self, attempt: Attempt, message: JobMessage, error: AppError) -> None:
        job, told = attempt.job, failures.told(error)
        if failures.is_of_the_job(error):
            pause = failures.pause_of_the_job(job, error)
            await attempt.save(due_in=pause, status=JobStatus.RETRYING, error=told)
            await self._queue.hide(message, seconds=pause)
        else:
            # Neither an attempt of the job nor a delivery of its message is used up.
            pause = failures.outage_pause(error)
            is_waiting = isinstance(error, CatalogUnavailable) and job.error is None
            status = JobStatus.QUEUED if is_waiting else JobStatus.RETRYING
            await attempt.save(
                due_in=pause, status=status, attempts=job.attempts - 1, error=None if is_waiting else told
            )
            await self._queue_anew(message, delay_seconds=pause)
        self._tell("retrying", job, error)

    async def _queue_anew(self, message: JobMessage, *, delay_seconds: int) -> None:
        await self._queue.send(message.owner_id, message.job_id, delay_seconds=delay_seconds)
        await self._queue.acknowledge(message)

    async def _hand_back(self, attempt: Attempt, message: JobMessage) -> None:
        """The worker is stopping: another may begin at once, and this turn was none."""
        job = attempt.job
        status = JobStatus.RETRYING if job.error else JobStatus.QUEUED
        try:
            await attempt.save(due_in=0, status=status, attempts=job.attempts - 1)
            await self._queue_anew(message, delay_seconds=0)
        except (AppError, ClaimLost) as error:
            _log.warning("job.left_for_sweep", cause=repr(error))

    async def _let_go(self, message: JobMessage) -> None:
        """Deal with a message whose job this worker has not got, or is done with."""
        job = await self._table.find_job(message.owner_id, message.job_id)
        if job is None or (job.is_finished and not failures.wants_attention(job)):
            await self._queue.acknowledge(message)
        elif job.due_at is None:
            # Unacknowledged it moves on to the dead-letter queue, where an operator finds it.
            await self._queue.hide(message, seconds=0)
        else:
            left = (job.due_at - self._clock()).total_seconds()
            await self._queue.hide(message, seconds=max(1, round(left)))

    def _tell(self, outcome: str, job: Job, error: AppError | None = None) -> None:
        self._metrics.count_job(job.kind, outcome)
        if isinstance(error, DependencyUnavailable):
            self._metrics.count_dependency_error(error.dependency)
        _log.info(f"job.{outcome}", kind=job.kind, attempt=job.attempts, cause=error.code if error else None)
