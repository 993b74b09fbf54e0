"""Tables: the records of the service.

Reads see every write that has returned, unless a method says otherwise. Every method may raise DependencyUnavailable
once its retries are exhausted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.domain.accounts import Account, Session
from app.domain.claims import Claim, IdempotencyRecord, JobClaim, RequestClaim
from app.domain.events import Event
from app.domain.images import Image, ImageChanges, Quota, Tombstone, Usage
from app.domain.jobs import DueJob, Job, JobStatus
from app.domain.uploads import DirectUpload


class ImageTable(Protocol):
    """The records of images, and each owner's usage, which changes in the same transactions."""

    async def add(
        self,
        image: Image,
        *,
        quota: Quota,
        claim: Claim | None = None,
        upload: DirectUpload | None = None,
        events: Sequence[Event] = (),
    ) -> None:
        """Add the record and `events`, and count the image in its owner's usage, in one transaction.

        With `upload`, the same transaction releases its reservation, unless that was released before. With `claim`, it
        fails unless the claim is held, and marks a RequestClaim done: a request with an idempotency key never creates
        two images. Adding a record that exists changes nothing.
        Raises QuotaExceeded if the owner would then exceed `quota`, however many images are added concurrently;
        OwnerClosed after `OwnerTable.block_writes`; ImageMissing if the image has a tombstone; and ClaimLost.
        """
        ...

    async def get(self, owner_id: str, image_id: str) -> Image:
        """Raises ImageMissing, also for another owner's image."""
        ...

    async def page(self, owner_id: str, *, before: str | None, limit: int) -> Sequence[Image]:
        """Return at most `limit` images, newest first, starting after the id `before`. Costs one query."""
        ...

    async def edit(self, owner_id: str, image_id: str, *, changes: ImageChanges) -> Image:
        """Set `filename`, `description`, `focal_point`, `custom_metadata`, `status` or several of them.

        Returns the updated record.

        Concurrent edits of different fields do not undo each other. A focal point is a dictionary of its fields. Raises
        ImageMissing.
        """
        ...

    async def remove(
        self, owner_id: str, image_id: str, *, deleted_at: datetime | None = None, events: Sequence[Event] = ()
    ) -> Image:
        """Remove the record and its share of the usage in one transaction, and return the removed record.

        The same transaction adds `events` and, with `deleted_at`, an open tombstone. Of two concurrent calls, one
        succeeds. Raises ImageMissing.
        """
        ...

    async def discard(self, images: Sequence[Image]) -> None:
        """Remove the records of images whose owner's account is being deleted. Records that are missing are ignored.

        Neither changes the usage nor adds tombstones: `OwnerTable.block_writes` prevents that images are added again.
        """
        ...

    async def update_thumbnails(
        self, image: Image, *, claim: JobClaim | None = None, events: Sequence[Event] = ()
    ) -> None:
        """Set thumbnails, placeholder, width and height of the record to those of `image`, and add `events`.

        With `claim`, only while the claim is held. Raises ImageMissing and ClaimLost.
        """
        ...

    async def get_newest_of_product(self, owner_id: str, ean: str) -> Image:
        """Return the owner's newest image whose source has this EAN. Raises ImageMissing."""
        ...

    async def usage(self, owner_id: str) -> Usage: ...

    def owners(self) -> AsyncIterator[str]:
        """Yield the id of each owner with at least one image, in any order. Reads the whole table."""
        ...

    def walk(self, owner_id: str, *, after: str = "") -> AsyncIterator[Image]:
        """Yield all images of the owner with an id greater than `after`, oldest first (by id)."""
        ...

    async def check(self) -> None:
        """Return if the table exists and responds."""
        ...


class TombstoneTable(Protocol):
    """Images that must not be added again. `ImageTable.remove` adds the tombstones of images that users deleted.

    A tombstone is open until it is closed, and is kept for 90 days after that.
    """

    async def add_tombstone(self, tombstone: Tombstone) -> bool:
        """Add an open tombstone unless the image has a record. Return whether the image has a tombstone now."""
        ...

    async def remove_tombstone(self, tombstone: Tombstone) -> None:
        """Remove the tombstone, so that the image can be added again. A missing tombstone is ignored."""
        ...

    async def find_tombstone(self, owner_id: str, image_id: str) -> Tombstone | None: ...

    async def open_tombstones(self, *, deleted_before: datetime, limit: int) -> Sequence[Tombstone]:
        """Return at most `limit` open tombstones of any owner, oldest first. May miss writes of the last seconds."""
        ...

    async def close_tombstone(self, tombstone: Tombstone, *, now: datetime) -> None:
        """Record that no object of the image is left. A closed or missing tombstone is ignored."""
        ...


class OwnerTable(Protocol):
    """What concerns all records of one owner."""

    async def block_writes(self, owner_id: str, *, until: datetime) -> None:
        """Make `ImageTable.add` refuse images of this owner. The block is kept until then."""
        ...

    async def is_blocked(self, owner_id: str) -> bool: ...

    async def delete_owner_data(self, owner_id: str, *, except_job_id: str, deleted_at: datetime) -> None:
        """Delete the owner's usage, tombstones, direct uploads, idempotency records, and jobs except one.

        Images and the block of `block_writes` stay. `deleted_at` (store time) is kept for 90 days.
        """
        ...

    async def deleted_at(self, owner_id: str) -> datetime | None:
        """Return when all data of the owner were deleted (store time), or None if that is not known."""
        ...


class IdempotencyTable(Protocol):
    """Requests with idempotency keys."""

    async def begin(self, record: IdempotencyRecord, *, now: datetime) -> IdempotencyRecord | None:
        """Add `record` and return None, unless a record with its owner and key exists that has not expired at `now`.

        Otherwise return the existing record. Of concurrent calls, exactly one returns None.
        """
        ...

    async def find(self, owner_id: str, key: str) -> IdempotencyRecord | None: ...

    async def renew(self, record: IdempotencyRecord, *, leased_until: datetime) -> bool:
        """Set `leased_until`. Return False, having changed nothing, if another process took over or it is done."""
        ...

    async def take_over(self, record: IdempotencyRecord, *, seen: IdempotencyRecord) -> bool:
        """Replace `seen` with `record`, unless `seen` is done or was renewed since it was read.

        Of concurrent calls, exactly one returns True.
        """
        ...

    async def finish(self, record: IdempotencyRecord) -> None:
        """Mark the record done if its `result_id` is still the current one."""
        ...

    async def abandon(self, record: IdempotencyRecord) -> None:
        """Delete the record if its `result_id` is still the current one and it is not done."""
        ...


class JobTable(Protocol):
    """The records of background jobs. They, not the queue, determine what remains to be done."""

    async def add_job(self, job: Job, *, claim: RequestClaim | None = None) -> None:
        """Add the job and mark `claim` done, in one transaction. Raises ClaimLost.

        Adding a job that exists changes nothing.
        """
        ...

    async def find_job(self, owner_id: str, job_id: str) -> Job | None: ...

    async def page_jobs(
        self, owner_id: str, *, before: str | None, limit: int, status: JobStatus | None = None
    ) -> tuple[Sequence[Job], str | None]:
        """Return at most `limit` jobs, newest first, and where the next page starts, or None after the last one.

        Only jobs with an id less than `before`; with `status`, only those. Such a page may be short or empty although
        older ones exist: a call reads a bounded number of jobs.
        """
        ...

    async def claim_job(
        self, owner_id: str, job_id: str, *, claim: str, now: datetime, lease_until: datetime
    ) -> Job | None:
        """Start an attempt: set the job RUNNING under `claim`, due at `lease_until`, with one attempt more.

        Returns the updated job, or None, having changed nothing, unless the job exists, is not finished, and is due at
        `now`. Of concurrent calls, exactly one returns the job.
        """
        ...

    async def save_job(self, job: Job, *, events: Sequence[Event] = ()) -> bool:
        """Update everything except id, owner, kind, claim, event and creation time, if `job.claim` is still running.

        Adds `events` in the same transaction. Returns False, having changed nothing, if the lease ended and another
        attempt began, or the job is finished. A finished job is kept for 30 days after `updated_at`.
        """
        ...

    async def due_jobs(self, *, before: datetime, limit: int) -> Sequence[DueJob]:
        """Return at most `limit` unfinished jobs of any owner with `due_at` before that time, oldest first.

        May miss writes of the last seconds.
        """
        ...


class AccountTable(Protocol):
    """Accounts that the service itself stores, and their sessions."""

    async def add_account(self, account: Account, *, session: Session) -> None:
        """Add the account and its first session in one transaction.

        Raises EmailTaken if an account with the same `email_key` exists or is added concurrently.
        """
        ...

    async def find_account(self, account_id: str) -> Account | None: ...

    async def find_account_by_email(self, email_key: str) -> Account | None:
        """Return the account with this `email_key`."""
        ...

    async def edit_account(self, account_id: str, *, changes: Mapping[str, str | datetime | None]) -> Account | None:
        """Set `display_name`, `disabled_at` or both, and return the updated account, or None if it is missing."""
        ...

    async def replace_password_hash(self, account_id: str, *, old_hash: str, new_hash: str) -> bool:
        """Replace `old_hash`. Return False, having changed nothing, if the account is missing or has another hash."""
        ...

    def accounts(self) -> AsyncIterator[Account]:
        """Yield all accounts, in any order. Reads the whole table."""
        ...

    async def add_session(self, session: Session) -> None: ...

    async def find_session(self, account_id: str, session_id: str) -> Session | None: ...

    async def sessions(self, account_id: str) -> Sequence[Session]:
        """Return the newest sessions of the account, at most MAX_READ_SESSIONS, possibly some that have expired."""
        ...

    async def rotate_session(
        self, account_id: str, session_id: str, *, old_hash: str, new_hash: str, expires_at: datetime, now: datetime
    ) -> bool:
        """Replace `old_hash` with `new_hash`, set `refreshed_at` to `now`, and extend the session.

        Of two concurrent calls, one succeeds.

        Returns False, having changed nothing, if the session is missing, expired at `now`, or has another hash.
        """
        ...

    async def remove_session(self, account_id: str, session_id: str) -> None:
        """Remove the session. A missing session is ignored."""
        ...

    async def remove_sessions(self, account_id: str, *, keep: str | None = None) -> None:
        """Remove all sessions of the account except the one with the id `keep`."""
        ...

    async def remove_account(self, account_id: str) -> None:
        """Remove the account and its sessions, and free its email address. A missing account is ignored."""
        ...
