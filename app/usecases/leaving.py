"""How somebody leaves: nothing more comes in, everything that is there goes, and the account last."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from time import monotonic

import structlog

from app.core.errors import ImageMissing, TokenInvalid
from app.core.jobs import Job, JobError, JobKind
from app.core.models import EXPORTS_PREFIX, IMAGES_PREFIX, INCOMING_PREFIX, User
from app.core.ports import Accounts, ImageTable, ObjectStore, OwnerTable
from app.usecases.jobs import Jobs
from app.usecases.library import Library
from app.usecases.working import Attempt

_MARK_KEPT = timedelta(days=2)
"""Longer than any token is good, and any upload can be under way."""
_LOOKED_UP_SECONDS = 10
"""How long another process may go on taking the tokens of an account that was just closed."""
_REMEMBERED = 10_000
_DELETED_AT_ONCE = 500
_REPORTS_EVERY = 20
_IMAGES_GONE = 90
"""Percent done."""

_log = structlog.stdlib.get_logger(__name__)


class Leaving:
    def __init__(
        self,
        *,
        accounts: Accounts,
        owners: OwnerTable,
        store: ObjectStore,
        images: ImageTable,
        library: Library,
        jobs: Jobs,
    ) -> None:
        self._accounts = accounts
        self._owners = owners
        self._store = store
        self._images = images
        self._library = library
        self._jobs = jobs
        self._open_until: OrderedDict[str, float] = OrderedDict()

    async def require_open(self, user: User) -> None:
        """Raises TokenInvalid if the user has left. Remembered for a moment, so that not each request reads it."""
        now = monotonic()
        if self._open_until.get(user.id, 0) > now:
            return
        if await self._owners.is_closed(user.id):
            raise TokenInvalid("The account of this token was closed.")
        self._open_until[user.id] = now + _LOOKED_UP_SECONDS
        self._open_until.move_to_end(user.id)
        if len(self._open_until) > _REMEMBERED:
            self._open_until.popitem(last=False)

    async def request(self, user: User, access_token: str) -> Job:
        """Close the account and have all removed that is its owner's. Raises SignInAgain."""
        # What refuses comes first. After it each step can be repeated with the same token, until the mark is there;
        # and the mark comes last, for it is what nobody could go on from without the job.
        await self._accounts.close(access_token)
        job = await self._jobs.add(user.id, JobKind.LEAVE)
        await self._owners.close(user.id, until=self._jobs.clock() + _MARK_KEPT)
        self._open_until.pop(user.id, None)
        await self._jobs.send(job)
        _log.info("account.closed", user_id=user.id)
        return job

    async def run(self, attempt: Attempt) -> None:
        """Remove records and objects, each of them as gone as if deleted by hand; what is gone stays gone."""
        owner_id = attempt.job.owner_id
        await self._owners.close(owner_id, until=self._jobs.clock() + _MARK_KEPT)
        await self._delete_images(attempt)
        for prefix in (IMAGES_PREFIX, INCOMING_PREFIX, EXPORTS_PREFIX):
            await self._delete_objects(f"{prefix}{owner_id}/")
        await self._accounts.remove(owner_id)
        await self._owners.forget(owner_id, but_job=attempt.job.id, deleted_at=await self._store.now())
        # An export that was under way until now may have been stored since its prefix was cleared.
        await self._delete_objects(f"{EXPORTS_PREFIX}{owner_id}/")
        _log.info("account.removed")

    async def give_up(self, job: Job, error: JobError) -> None:
        """It is never given up (usecases.working)."""

    async def _delete_images(self, attempt: Attempt) -> None:
        user = User(attempt.job.owner_id)
        images, deleted = (await self._images.usage(user.id)).images, 0
        async for image in self._images.walk(user.id):
            try:
                await self._library.delete(user, image.id)
            except ImageMissing:
                continue
            deleted += 1
            if deleted % _REPORTS_EVERY == 0:
                await attempt.report(progress=min(_IMAGES_GONE, _IMAGES_GONE * deleted // max(images, 1)))

    async def _delete_objects(self, prefix: str) -> None:
        keys: list[str] = []
        async for stored in self._store.walk(prefix):
            keys.append(stored.key)
            if len(keys) == _DELETED_AT_ONCE:
                await self._store.delete(keys)
                keys.clear()
        await self._store.delete(keys)
