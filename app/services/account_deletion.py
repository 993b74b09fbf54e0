"""Deletes accounts: blocks new uploads, deletes all objects and records, and the account last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.common.batches import for_each_batch
from app.domain.accounts import User
from app.domain.events import EventType
from app.domain.images import Image
from app.domain.jobs import Job, JobError
from app.domain.object_keys import EXPORTS_PREFIX, IMAGES_PREFIX, INCOMING_PREFIX
from app.domain.objects import StoredObject
from app.jobs.attempt import Attempt
from app.jobs.registry import JobResult, JobSpec
from app.jobs.service import JobService
from app.ports.admin_tables import OwnerIndex
from app.ports.auth import Accounts
from app.ports.clock import Clock
from app.ports.share_table import ShareTable
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable, OwnerTable
from app.services.audit import AuditLog
from app.services.authentication import Authentication

_BLOCK_RETENTION = timedelta(days=2)
"""Longer than any access token is valid and any upload takes."""
_KEYS_PER_DELETE = 1000
_IMAGES_PER_BATCH = 200
"""With an original, a sidecar and three thumbnails each, these are 1,000 keys, which S3 deletes in one request."""
_CONCURRENT_BATCHES = 8
_IMAGES_DELETED = 90
"""The progress, in percent, when all images are deleted."""

_log = structlog.stdlib.get_logger(__name__)


class AccountDeletion:
    def __init__(
        self,
        *,
        accounts: Accounts,
        authentication: Authentication,
        owners: OwnerTable,
        store: ObjectStore,
        images: ImageTable,
        owner_index: OwnerIndex,
        shares: ShareTable,
        audit: AuditLog,
        jobs: JobService,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._authentication = authentication
        self._owners = owners
        self._store = store
        self._images = images
        self._owner_index = owner_index
        self._shares = shares
        self._audit = audit
        self._jobs = jobs
        self._clock = clock

    @property
    def job_spec(self) -> JobSpec:
        return JobSpec(
            kind="delete_account",
            label="Deleting your account and everything in it",
            handler=self,
            result=_job_result,
            completion_event=EventType.ACCOUNT_DELETED,
            retries_forever=True,  # The user can no longer sign in and request it again.
        )

    async def request(self, user: User, access_token: str, *, password: str | None = None) -> Job:
        """Close the user's own account and submit a job that deletes everything of its owner.

        Raises SignInAgain, PasswordIncorrect or TooManyAttempts.
        """
        await self._accounts.authorize_deletion(access_token, password=password)
        return await self.close(user)

    async def close(self, user: User) -> Job:
        """Close an account on behalf of its owner or of an operator, and submit the job."""
        # The block comes last: once it is set the user cannot retry, so the job must already exist.
        job = await self._jobs.add(user, self.job_spec.kind)
        await self._owners.block_writes(user.id, until=self._clock() + _BLOCK_RETENTION)
        self._authentication.forget(user.id)
        await self._jobs.send(job)
        _log.info("account.closed", user_id=user.id)
        return job

    async def run(self, attempt: Attempt) -> None:
        """Delete records and objects. What an earlier attempt deleted stays deleted."""
        owner_id = attempt.job.owner_id
        await self._owners.block_writes(owner_id, until=self._clock() + _BLOCK_RETENTION)
        await self._shares.remove_shares(owner_id)
        await self._delete_images(attempt)
        for prefix in (IMAGES_PREFIX, INCOMING_PREFIX, EXPORTS_PREFIX):
            await self._delete_objects(f"{prefix}{owner_id}/")
        await self._accounts.delete_account(owner_id)
        deleted_at = await self._store.now()
        await self._owners.delete_owner_data(owner_id, except_job_id=attempt.job.id, deleted_at=deleted_at)
        await self._owner_index.remove_owner(owner_id)
        await self._audit.forget_addresses(owner_id)
        # An export that was running may have been stored after the exports were deleted above.
        await self._delete_objects(f"{EXPORTS_PREFIX}{owner_id}/")
        _log.info("account.deleted")

    async def give_up(self, job: Job, error: JobError) -> None:
        """Do nothing. It is never called, because the job is retried until it succeeds."""

    async def _delete_images(self, attempt: Attempt) -> None:
        owner_id = attempt.job.owner_id
        images = max(1, (await self._images.usage(owner_id)).images)
        deleted = images * attempt.job.progress // _IMAGES_DELETED

        async def delete(batch: Sequence[Image]) -> None:
            # In this order, no record refers to missing objects. After a crash, the objects are found by their prefix.
            await self._images.discard(batch)
            await self._store.delete([key for image in batch for key in image.object_keys])
            nonlocal deleted
            deleted += len(batch)
            progress = min(_IMAGES_DELETED, _IMAGES_DELETED * deleted // images)
            if progress > attempt.job.progress:
                await attempt.report(progress=progress)

        images_left = self._images.walk(owner_id)
        await for_each_batch(images_left, delete, size=_IMAGES_PER_BATCH, concurrency=_CONCURRENT_BATCHES)

    async def _delete_objects(self, prefix: str) -> None:
        async def delete(batch: Sequence[StoredObject]) -> None:
            await self._store.delete([stored.key for stored in batch])

        objects = self._store.walk(prefix)
        await for_each_batch(objects, delete, size=_KEYS_PER_DELETE, concurrency=_CONCURRENT_BATCHES)


async def _job_result(_job: Job) -> JobResult:
    return JobResult()
