"""What workers do unasked: lost messages are sent again, and once a day everything is reconciled."""

from __future__ import annotations

import math
from datetime import timedelta

import structlog

from app.core.clock import Clock
from app.core.ids import new_id
from app.core.models import OnceRecord
from app.core.ports import JobQueue, JobTable, OnceTable
from app.usecases.deletions import Deletions
from app.usecases.reconciling import Reconciler

_LOST_AFTER = timedelta(seconds=30)
"""Longer than what a job is about may be written after it: until then there is nothing to do, and it would be done."""
_LOST_IN_A_BACKLOG_AFTER = timedelta(minutes=5)
_LONGEST_DELAY = timedelta(seconds=900)
_SENT_AT_ONCE = 1000
_SENT_INTO_A_BACKLOG = 20
_RECONCILE_LEASE = timedelta(hours=6)
_SERVICE = "service"
"""Not the id of any owner: those of local accounts are UUIDs, Firebase's have 28 characters."""

_log = structlog.stdlib.get_logger(__name__)


class Upkeep:
    def __init__(
        self,
        *,
        jobs: JobTable,
        queue: JobQueue,
        once: OnceTable,
        deletions: Deletions,
        reconciler: Reconciler,
        clock: Clock,
    ) -> None:
        self._deletions = deletions
        self._clock = clock
        self._jobs = jobs
        self._queue = queue
        self._once = once
        self._reconciler = reconciler

    async def send_all(self) -> None:
        """Send every unfinished job, those that are due later with a delay: for a queue that begins empty.

        Only for a process that nobody else works or adds jobs beside.
        """
        now = self._clock()
        for job in await self._jobs.due_jobs(before=now + _LONGEST_DELAY, limit=_SENT_AT_ONCE):
            delay = max(0, math.ceil((job.due_at - now).total_seconds()))
            await self._queue.send(job.owner_id, job.id, delay_seconds=delay)

    async def send_lost(self) -> None:
        """Send the jobs whose messages seem to be lost.

        While messages are waiting, a job that is due may be one of theirs: then only the oldest few are sent, so that
        a backlog does not grow by being looked at.
        """
        if await self._queue.depth() == 0:
            await self._send(overdue=_LOST_AFTER, limit=_SENT_AT_ONCE)
        else:
            await self._send(overdue=_LOST_IN_A_BACKLOG_AFTER, limit=_SENT_INTO_A_BACKLOG)

    async def finish_deletions(self) -> None:
        """Delete what requests to delete could not, because the store did not answer or their process ended."""
        await self._deletions.finish()

    async def reconcile_daily(self) -> None:
        """Reconcile, unless a worker of this deployment has today, or is at it."""
        now = self._clock()
        today = OnceRecord(
            owner_id=_SERVICE,
            key=f"reconcile {now:%Y-%m-%d}",
            fingerprint="",
            result_id=new_id(),
            done=False,
            leased_until=now + _RECONCILE_LEASE,
            expires_at=now + timedelta(days=2),
        )
        there = await self._once.begin(today, now=now)
        if there is not None:
            # Two runs at once are harmless, so that here the clock may decide when a lease is over.
            is_free = not there.done and there.leased_until <= now
            if not is_free or not await self._once.take_over(today, seen=there):
                return
        try:
            await self._reconciler.run()
        except BaseException:
            await self._once.abandon(today)
            raise
        await self._once.finish(today)

    async def _send(self, *, overdue: timedelta, limit: int) -> None:
        due = await self._jobs.due_jobs(before=self._clock() - overdue, limit=limit)
        for job in due:
            await self._queue.send(job.owner_id, job.id)
        if due:
            _log.info("jobs.sent_again", jobs=len(due))
