"""Background jobs as their owner sees them: asked for, looked up, listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import structlog

from app.core.clock import Clock
from app.core.errors import AppError, JobMissing
from app.core.ids import is_id, new_id
from app.core.jobs import Job, JobKind, JobStatus
from app.core.models import RequestClaim, User
from app.core.ports import JobQueue, JobTable
from app.usecases.cursors import Cursors

_BACKLOG_SECONDS = 5

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JobPage:
    items: Sequence[Job]
    next_cursor: str | None


class Jobs:
    def __init__(self, *, table: JobTable, queue: JobQueue, cursors: Cursors, clock: Clock) -> None:
        self.clock = clock
        self._table = table
        self._queue = queue
        self._cursors = cursors
        # Whoever may ask for the metrics must not be able to have the table and the queue asked as often.
        self._backlog: tuple[float, tuple[int, datetime | None]] | None = None

    async def add(
        self,
        owner_id: str,
        kind: JobKind,
        *,
        ean: str | None = None,
        description: str | None = None,
        image_id: str | None = None,
        claim: RequestClaim | None = None,
    ) -> Job:
        """Have it done: when this returns the job is durable, whatever becomes of the queue.

        With `claim` it is the result of a request with an idempotency key. Raises ClaimLost.
        """
        now = self.clock()
        job = Job(
            id=claim.result_id if claim else new_id(),
            owner_id=owner_id,
            kind=kind,
            created_at=now,
            updated_at=now,
            due_at=now,
            ean=ean,
            description=description,
            image_id=image_id,
        )
        await self._table.add_job(job, claim=claim)
        _log.info("job.added", job_id=job.id, kind=kind)
        return job

    async def send(self, job: Job) -> None:
        """Tell the workers. One that is not told of finds the job by itself, a little later."""
        try:
            await self._queue.send(job.owner_id, job.id)
        except AppError as error:
            _log.warning("job.left_for_sweep", job_id=job.id, cause=error.code)

    async def get(self, user: User, job_id: str) -> Job:
        """Raises JobMissing, for another user's job too."""
        job = await self.find(user, job_id)
        if job is None:
            raise JobMissing
        return job

    async def find(self, user: User, job_id: str) -> Job | None:
        return await self._table.find_job(user.id, job_id) if is_id(job_id) else None

    async def backlog(self) -> tuple[int, datetime | None]:
        """Return how many messages wait, and since when the oldest job that is due has been; as of some seconds ago."""
        now = monotonic()
        if self._backlog is None or now >= self._backlog[0]:
            due = await self._table.due_jobs(before=self.clock(), limit=1)
            backlog = await self._queue.depth(), due[0].due_at if due else None
            self._backlog = now + _BACKLOG_SECONDS, backlog
        return self._backlog[1]

    async def page(self, user: User, *, cursor: str | None, limit: int, status: JobStatus | None) -> JobPage:
        """Return `limit` jobs, newest first. Raises CursorInvalid, for another user's cursor too."""
        before = self._cursors.open(user, cursor)
        jobs = await self._table.page_jobs(user.id, before=before, limit=limit + 1, status=status)
        if len(jobs) <= limit:
            return JobPage(jobs, None)
        return JobPage(jobs[:limit], self._cursors.make(user, jobs[limit - 1].id))
