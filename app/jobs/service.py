"""Background jobs as their owners use them: submit, look up, list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import structlog

from app.common.pagination import Cursors
from app.common.rate_limit import RateLimiter
from app.domain.accounts import User
from app.domain.claims import RequestClaim
from app.domain.errors import AppError, JobMissing
from app.domain.ids import is_id, new_id
from app.domain.jobs import Job, JobStatus
from app.jobs.registry import JobSpec
from app.ports.clock import Clock
from app.ports.queue import JobQueue
from app.ports.tables import JobTable

_BACKLOG_CACHE_SECONDS = 5

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JobPage:
    items: Sequence[Job]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Backlog:
    depth: int
    """Visible messages in the queue."""
    oldest_due_at: datetime | None
    """When the oldest job that is due became due."""


class JobService:
    def __init__(
        self, *, table: JobTable, queue: JobQueue, limiter: RateLimiter, cursors: Cursors, clock: Clock
    ) -> None:
        self._table = table
        self._queue = queue
        self._limiter = limiter
        self._cursors = cursors
        self._clock = clock
        # Requests for metrics are not authenticated and must not cause as many requests to table and queue.
        self._backlog: tuple[float, Backlog] | None = None

    async def submit(
        self,
        user: User,
        spec: JobSpec,
        *,
        ean: str | None = None,
        description: str | None = None,
        image_id: str | None = None,
        job_id: str | None = None,
        claim: RequestClaim | None = None,
        send: bool = True,
    ) -> Job:
        """Add a job that the user requested. Raises TooManyAttempts and ClaimLost.

        Without `send`, the caller sends its message once the job has something to do.
        """
        if spec.rate_limit:
            await self._limiter.count(spec.rate_limit, user.id)
        job = await self.add(
            user, spec.kind, ean=ean, description=description, image_id=image_id, job_id=job_id, claim=claim
        )
        if send:
            await self.send(job)
        return job

    async def add(
        self,
        user: User,
        kind: str,
        *,
        ean: str | None = None,
        description: str | None = None,
        image_id: str | None = None,
        event_id: str | None = None,
        job_id: str | None = None,
        claim: RequestClaim | None = None,
    ) -> Job:
        """Add a job. When this returns it is durable and will be processed, even if its message is never sent.

        A job with `job_id` that exists stays as it is. With `claim`, the job is the result of a request with an
        idempotency key. Raises ClaimLost.
        """
        now = self._clock()
        job = Job(
            id=claim.result_id if claim else job_id or new_id(),
            owner_id=user.id,
            kind=kind,
            created_at=now,
            updated_at=now,
            due_at=now,
            ean=ean,
            description=description,
            image_id=image_id,
            event_id=event_id,
        )
        await self._table.add_job(job, claim=claim)
        _log.info("job.added", job_id=job.id, kind=kind)
        return job

    async def send(self, job: Job) -> None:
        """Send the job's message. If that fails, the workers' sweep finds the job a little later."""
        try:
            await self._queue.send(job.owner_id, job.id)
        except AppError as error:
            _log.warning("job.left_for_sweep", job_id=job.id, cause=error.code)

    async def get(self, user: User, job_id: str) -> Job:
        """Raises JobMissing, also for another user's job."""
        job = await self.find(user, job_id)
        if job is None:
            raise JobMissing
        return job

    async def find(self, user: User, job_id: str) -> Job | None:
        return await self._table.find_job(user.id, job_id) if is_id(job_id) else None

    async def page(self, user: User, *, cursor: str | None, limit: int, status: JobStatus | None) -> JobPage:
        """Return at most `limit` jobs, newest first. Raises CursorInvalid, also for another user's cursor.

        With `status`, a page may be short or empty although there is a next one.
        """
        before = self._cursors.decode(user, cursor)
        jobs, last_id = await self._table.page_jobs(user.id, before=before, limit=limit, status=status)
        return JobPage(jobs, self._cursors.encode(user, last_id) if last_id else None)

    async def backlog(self) -> Backlog:
        """Return the backlog as of a few seconds ago."""
        now = monotonic()
        if self._backlog is None or now >= self._backlog[0]:
            due = await self._table.due_jobs(before=self._clock(), limit=1)
            backlog = Backlog(await self._queue.depth(), due[0].due_at if due else None)
            self._backlog = now + _BACKLOG_CACHE_SECONDS, backlog
        return self._backlog[1]

    async def backlog_age_seconds(self) -> float:
        """Return for how long the oldest job that is due has been waiting."""
        oldest = (await self.backlog()).oldest_due_at
        return max(0.0, (self._clock() - oldest).total_seconds()) if oldest else 0.0
