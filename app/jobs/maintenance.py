"""Periodic work of the workers: requeue stale jobs, finish deletions, dispatch events, and others."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from app.common.object_deletion import ObjectDeletion
from app.common.upload_expiry import UploadExpiry
from app.consistency.reconciler import Reconciler
from app.domain.claims import IdempotencyRecord
from app.domain.ids import new_id
from app.jobs.event_dispatch import EventDispatch
from app.ports.admin_tables import OwnerIndex
from app.ports.clock import Clock
from app.ports.queue import JobQueue
from app.ports.tables import AccountTable, IdempotencyTable, ImageTable, JobTable

_STALE_AFTER = timedelta(seconds=30)
"""A job's record can precede the record that it refers to. Requeueing sooner would process the job before there is
anything to do, and complete it."""
_STALE_IN_BACKLOG_AFTER = timedelta(minutes=5)
_MAX_DELAY = timedelta(seconds=900)
_MAX_SENT = 1000
_MAX_SENT_INTO_BACKLOG = 20
_LEASE = timedelta(hours=6)
_FOREVER = timedelta(days=36_500)
_SERVICE = "service"
"""The owner of the service's own idempotency records. If a Firebase user has this id, that user's records still have
other keys: the keys of requests begin with other words."""

_log = structlog.stdlib.get_logger(__name__)


class Maintenance:
    def __init__(
        self,
        *,
        jobs: JobTable,
        queue: JobQueue,
        idempotency: IdempotencyTable,
        deletion: ObjectDeletion,
        upload_expiry: UploadExpiry,
        event_dispatch: EventDispatch,
        reconciler: Reconciler,
        images: ImageTable,
        accounts: AccountTable,
        owner_index: OwnerIndex,
        clock: Clock,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._idempotency = idempotency
        self._deletion = deletion
        self._upload_expiry = upload_expiry
        self._event_dispatch = event_dispatch
        self._reconciler = reconciler
        self._images = images
        self._accounts = accounts
        self._owner_index = owner_index
        self._clock = clock

    async def requeue_all(self) -> None:
        """Send the messages of all unfinished jobs, with a delay for those that are due later.

        It may be called only for a queue in memory, which starts empty, while no other process works on these jobs.
        """
        now = self._clock()
        for job in await self._jobs.due_jobs(before=now + _MAX_DELAY, limit=_MAX_SENT):
            delay = max(0, math.ceil((job.due_at - now).total_seconds()))
            await self._queue.send(job.owner_id, job.id, delay_seconds=delay)

    async def requeue_stale_jobs(self) -> None:
        """Send the messages of jobs that are overdue: they seem to be lost.

        While messages are waiting, a job may be overdue because its own message waits. Then only the oldest few are
        sent, so that a backlog does not grow by itself.
        """
        if await self._queue.depth() == 0:
            await self._requeue(overdue=_STALE_AFTER, limit=_MAX_SENT)
        else:
            await self._requeue(overdue=_STALE_IN_BACKLOG_AFTER, limit=_MAX_SENT_INTO_BACKLOG)

    async def finish_deletions(self) -> None:
        """Delete the objects that deletion requests could not delete."""
        await self._deletion.finish()

    async def expire_uploads(self) -> None:
        """Close direct and resumable uploads that have expired."""
        await self._upload_expiry.run()

    async def dispatch_events(self) -> None:
        """Add the deliveries of new events to webhook endpoints."""
        await self._event_dispatch.run()

    async def reconcile_daily(self, *, deadline: float = math.inf) -> bool:
        """Reconcile, unless a worker of this deployment did so today or is doing so.

        Returns False if the run was not finished at `deadline` (`time.monotonic()`): the next call continues it.
        """

        async def reconcile() -> bool:
            return await self._reconciler.run_until(deadline) is not None

        today = f"reconcile {self._clock():%Y-%m-%d}"
        is_finished = await self._do_once(today, reconcile, remembered_for=timedelta(days=2))
        if is_finished:
            await self._do_once("index owners", self._index_owners, remembered_for=_FOREVER)
        return is_finished

    async def _do_once(self, name: str, work: Callable[[], Awaitable[bool]], *, remembered_for: timedelta) -> bool:
        """Do the work, unless a worker of this deployment did it or is doing it. Return False if it is unfinished."""
        now = self._clock()
        record = IdempotencyRecord(
            owner_id=_SERVICE,
            key=name,
            fingerprint="maintenance",
            result_id=new_id(),
            done=False,
            leased_until=now + _LEASE,
            expires_at=now + remembered_for,
        )
        current = await self._idempotency.begin(record, now=now)
        if current is not None:
            # The work may be done twice concurrently, so a clock may decide here whether the lease has ended.
            is_free = not current.done and current.leased_until <= now
            if not is_free or not await self._idempotency.take_over(record, seen=current):
                return True
        try:
            is_finished = await work()
        except BaseException:
            await self._idempotency.abandon(record)
            raise
        if is_finished:
            await self._idempotency.finish(record)
        else:
            await self._idempotency.abandon(record)
        return is_finished

    async def _index_owners(self) -> bool:
        """Add users to the index whose accounts or images were stored by a version without this index.

        This reads the whole table. Users who sign in later are added by the API.
        """
        async for owner_id in self._images.owners():
            await self._index_owner(owner_id)
        async for account in self._accounts.accounts():
            await self._index_owner(account.id)
        return True

    async def _index_owner(self, owner_id: str) -> None:
        if not await self._owner_index.has_owner(owner_id):
            await self._owner_index.add_owner(owner_id)

    async def _requeue(self, *, overdue: timedelta, limit: int) -> None:
        due = await self._jobs.due_jobs(before=self._clock() - overdue, limit=limit)
        for job in due:
            await self._queue.send(job.owner_id, job.id)
        if due:
            _log.info("jobs.requeued", jobs=len(due))
