"""Processes jobs: claims a job under a lease, renews the lease, runs the handler, and records the outcome.

The record decides what is done, not the message. If a message is delivered twice, late, or after its worker was killed,
the record shows whether anything remains to be done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from app.common.webhook_events import WebhookEvents
from app.domain.claims import ClaimLost
from app.domain.errors import AppError, CatalogUnavailable, DependencyUnavailable, Internal, WebhookUndelivered
from app.domain.events import Event, EventType
from app.domain.ids import new_id
from app.domain.jobs import Job, JobMessage, JobStatus
from app.jobs import retry_policy
from app.jobs.attempt import LEASE_SECONDS, MARGIN_SECONDS, Attempt
from app.jobs.registry import JobRegistry, JobSpec
from app.ports.clock import Clock
from app.ports.metrics import Metrics
from app.ports.queue import MAX_DELAY_SECONDS, JobQueue
from app.ports.tables import JobTable

_RENEWALS_PER_LEASE = 3
_UNKNOWN_KIND_SECONDS = 60
"""The delay before a job of an unknown kind is delivered again, to a worker of another version if there is one."""

_log = structlog.stdlib.get_logger(__name__)


class JobRunner:
    def __init__(
        self,
        *,
        table: JobTable,
        queue: JobQueue,
        registry: JobRegistry,
        events: WebhookEvents,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._table = table
        self._queue = queue
        self._registry = registry
        self._events = events
        self._metrics = metrics
        self._clock = clock

    async def process(self, message: JobMessage, *, must_end_at: float | None = None) -> None:
        """Process the job of the message if it is due, and acknowledge, delay or requeue the message.

        An attempt that is not finished at `must_end_at`, a time of the event loop, is stopped and retried. It counts
        only if it has made no progress.

        Raises DependencyUnavailable, after requeueing the message, if the table does not respond.
        """
        with structlog.contextvars.bound_contextvars(job_id=message.job_id, user_id=message.owner_id):
            try:
                await self._process(message, must_end_at)
            except AppError as error:
                # During an outage, repeated deliveries must not move the message to the dead-letter queue.
                await self._requeue(message, delay_seconds=retry_policy.outage_backoff_seconds(error))
                raise

    async def _process(self, message: JobMessage, must_end_at: float | None) -> None:
        started = asyncio.get_running_loop().time()
        now = self._clock()
        lease_until = now + timedelta(seconds=LEASE_SECONDS)
        job = await self._table.claim_job(
            message.owner_id, message.job_id, claim=new_id(), now=now, lease_until=lease_until
        )
        if job is None:
            await self._release_message(message)
            return
        try:
            until = started + LEASE_SECONDS - MARGIN_SECONDS
            await self._attempt(job, message, until=until, must_end_at=must_end_at)
        except (ClaimLost, TimeoutError):
            _log.warning("job.lease_lost")
            await self._release_message(message)

    async def _attempt(self, job: Job, message: JobMessage, *, until: float, must_end_at: float | None) -> None:
        async with asyncio.timeout_at(until) as deadline:
            attempt = Attempt(self._table, job, deadline, clock=self._clock, must_end_at=must_end_at)
            spec = self._registry.find(job.kind)
            if spec is None:
                _log.error("job.kind_unknown", kind=job.kind)
                await self._return_job(attempt, message, delay_seconds=_UNKNOWN_KIND_SECONDS)
                return
            try:
                error = await self._run_with_lease(spec, attempt, message)
            except asyncio.CancelledError:
                if not deadline.expired():
                    # The worker is stopping: another may start at once, and this attempt does not count.
                    await asyncio.shield(self._return_job(attempt, message, delay_seconds=0))
                raise
            if error and attempt.is_out_of_time() and attempt.job.progress > job.progress:
                # The next attempt continues, so this one does not count.
                await self._return_job(attempt, message, delay_seconds=0)
                return
            await self._finish(spec, attempt, message, error)

    async def _run_with_lease(self, spec: JobSpec, attempt: Attempt, message: JobMessage) -> AppError | None:
        try:
            async with asyncio.TaskGroup() as group:
                renewal = group.create_task(self._renew(attempt, message))
                error = await self._run(spec, attempt)
                renewal.cancel()
        except* ClaimLost:
            raise ClaimLost from None
        return error

    async def _renew(self, attempt: Attempt, message: JobMessage) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / _RENEWALS_PER_LEASE)
            try:
                await attempt.report()
                await self._queue.change_visibility(message, timeout_seconds=LEASE_SECONDS)
            except AppError as error:
                # The next renewal may succeed. If none does, the deadline ends the attempt.
                _log.warning("job.lease_not_renewed", cause=error.code)

    async def _run(self, spec: JobSpec, attempt: Attempt) -> AppError | None:
        """Run the handler. Return the error that it failed with, or None."""
        job = attempt.job
        if job.attempts > retry_policy.MAX_ATTEMPTS and not spec.is_delivery:
            # Workers died in every attempt, so the job may be what kills them.
            return Internal("The job was started several times and never finished.")
        _log.info("job.started", kind=job.kind, attempt=job.attempts)
        limit = asyncio.timeout_at(attempt.must_end_at)
        try:
            async with limit:
                await spec.handler.run(attempt)
        except AppError as error:
            return error
        except ClaimLost:
            raise
        except Exception:  # noqa: BLE001 - a bug; another attempt may succeed
            if limit.expired():
                _log.warning("job.time_exceeded", kind=job.kind)
            else:
                _log.exception("job.crashed")
            return Internal()
        return None

    async def _finish(self, spec: JobSpec, attempt: Attempt, message: JobMessage, error: AppError | None) -> None:
        job = attempt.job
        if error is None:
            events = await self._events_of(spec, replace(job, error=None))
            await attempt.save(due_in=None, events=events, status=JobStatus.COMPLETED, progress=100, error=None)
            self._record_outcome("completed", job)
            await self._queue.acknowledge(message)
        elif retry_policy.is_transient(error) and not retry_policy.retries_exhausted(
            job, error, now=self._clock(), retries_forever=spec.retries_forever
        ):
            await self._schedule_retry(attempt, message, error)
        else:
            job_error = retry_policy.to_job_error(error)
            await spec.handler.give_up(job, job_error)
            events = await self._events_of(spec, replace(job, error=job_error))
            await attempt.save(due_in=None, events=events, status=JobStatus.FAILED, error=job_error)
            self._record_outcome("failed", job, error)
            await self._release_message(message)

    async def _events_of(self, spec: JobSpec, job: Job) -> Sequence[Event]:
        """Return the events of a job that is finished: failed if it has an error."""
        if spec.is_delivery:
            return ()
        if job.error:
            return await self._events.of_job(job, EventType.JOB_FAILED)
        events = await self._events.of_job(job, EventType.JOB_COMPLETED)
        if spec.completion_event:
            events = [*events, *await self._events.of_account(job.owner_id)]
        return events

    async def _schedule_retry(self, attempt: Attempt, message: JobMessage, error: AppError) -> None:
        job, job_error = attempt.job, retry_policy.to_job_error(error)
        if retry_policy.is_job_fault(error):
            backoff = retry_policy.job_backoff_seconds(job, error)
            await attempt.save(due_in=backoff, status=JobStatus.RETRYING, error=job_error)
            if isinstance(error, WebhookUndelivered):
                # It has more attempts than a message may be received.
                await self._requeue(message, delay_seconds=min(backoff, MAX_DELAY_SECONDS))
            else:
                await self._queue.change_visibility(message, timeout_seconds=backoff)
        else:
            # This failure counts neither as an attempt of the job nor as a delivery of its message.
            backoff = retry_policy.outage_backoff_seconds(error)
            waits_in_line = isinstance(error, CatalogUnavailable) and job.error is None
            status = JobStatus.QUEUED if waits_in_line else JobStatus.RETRYING
            job_error_or_none = None if waits_in_line else job_error
            await attempt.save(due_in=backoff, status=status, attempts=job.attempts - 1, error=job_error_or_none)
            await self._requeue(message, delay_seconds=backoff)
        self._record_outcome("retrying", job, error)

    async def _requeue(self, message: JobMessage, *, delay_seconds: int) -> None:
        await self._queue.send(message.owner_id, message.job_id, delay_seconds=delay_seconds)
        await self._queue.acknowledge(message)

    async def _return_job(self, attempt: Attempt, message: JobMessage, *, delay_seconds: int) -> None:
        """Let another worker start an attempt after the delay. This attempt does not count."""
        job = attempt.job
        status = JobStatus.RETRYING if job.error else JobStatus.QUEUED
        try:
            await attempt.save(due_in=delay_seconds, status=status, attempts=job.attempts - 1)
            await self._requeue(message, delay_seconds=delay_seconds)
        except (AppError, ClaimLost) as error:
            _log.warning("job.left_for_sweep", cause=repr(error))

    async def _release_message(self, message: JobMessage) -> None:
        """Handle a message whose job this worker did not get, or has finished."""
        job = await self._table.find_job(message.owner_id, message.job_id)
        if job is None or (job.is_finished and not retry_policy.needs_operator(job)):
            await self._queue.acknowledge(message)
        elif job.due_at is None:
            # Without acknowledgment the message moves to the dead-letter queue, where an operator finds it.
            await self._queue.change_visibility(message, timeout_seconds=0)
        else:
            remaining = (job.due_at - self._clock()).total_seconds()
            await self._queue.change_visibility(message, timeout_seconds=max(1, round(remaining)))

    def _record_outcome(self, outcome: str, job: Job, error: AppError | None = None) -> None:
        self._metrics.count_job(job.kind, outcome)
        if isinstance(error, DependencyUnavailable):
            self._metrics.count_dependency_error(error.dependency)
        _log.info(f"job.{outcome}", kind=job.kind, attempt=job.attempts, cause=error.code if error else None)
