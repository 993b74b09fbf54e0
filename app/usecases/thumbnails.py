"""Thumbnails that are made in the background: those of an upload that did not wait, and those that had failed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import BinaryIO

from app.core.errors import DependencyUnavailable, ImageCorrupt, ImageMissing, ObjectMissing
from app.core.jobs import Job, JobError, JobKind
from app.core.models import Image, JobClaim, Rendering, Thumbnail, ThumbnailStatus, User
from app.core.ports import AccountTable, ImageTable, ObjectStore, Renderer
from app.usecases.jobs import Jobs
from app.usecases.library import Library
from app.usecases.rates import Rate
from app.usecases.spool import Spool
from app.usecases.uploads import put_thumbnails, ready_thumbnail
from app.usecases.working import Attempt

_FETCH_SECONDS = 60
_STUCK = timedelta(minutes=15)
_RATE = Rate("thumbnails", limit=100, window_seconds=3600)


class Thumbnails:
    def __init__(
        self,
        *,
        store: ObjectStore,
        images: ImageTable,
        library: Library,
        renderer: Renderer,
        jobs: Jobs,
        spool: Spool,
        attempts: AccountTable,
    ) -> None:
        self._store = store
        self._images = images
        self._library = library
        self._renderer = renderer
        self._jobs = jobs
        self._spool = spool
        self._attempts = attempts

    async def make_failed_ones(self, user: User, image_id: str) -> Image:
        """Have the failed thumbnails made once more; without failed ones nothing changes.

        Raises ImageMissing and TooManyAttempts.
        """
        image = await self._library.get(user, image_id)
        if not any(map(_is_to_be_made_again, image.thumbnails)) and not _is_stuck(image, now=self._jobs.clock()):
            return image
        await _RATE.count(self._attempts, user, clock=self._jobs.clock)
        job = await self._jobs.add(user.id, JobKind.RENDER, image_id=image.id)
        image = _with(image, lambda t: _pending(t) if _is_to_be_made_again(t) else t)
        await self._images.replace(image)
        await self._jobs.send(job)
        return image

    async def run(self, attempt: Attempt) -> None:
        """Make the thumbnails that are pending, if the image is still there.

        Raises what `Renderer.render` raises, and ObjectMissing if there is no original.
        """
        job, user = attempt.job, User(attempt.job.owner_id)
        image = await self._library.find(user, job.image_id or "")
        if image is None:
            return  # deleted since, or refused after all: the message is sent once the record is there
        if not image.is_pending:
            _require_none_failed(image)
            return
        async with self._spool.file() as file:
            try:
                await self._fetch(image, file)
            except ObjectMissing:
                if await self._library.find(user, image.id) is None:
                    return  # deleted since
                raise
            await attempt.report(progress=30)
            rendering = await self._renderer.render(file)
        await attempt.report(progress=80)
        await self._keep(_rendered(image, rendering, attempts=job.attempts), rendering, claim=attempt.job.job_claim)

    async def give_up(self, job: Job, error: JobError) -> None:
        try:
            image = await self._images.get(job.owner_id, job.image_id or "")
            failed = _with(image, lambda t: _failed(t, job, error))
            await self._images.replace(failed, claim=job.job_claim)
        except ImageMissing:
            return

    async def _fetch(self, image: Image, file: BinaryIO) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                await self._store.fetch(image.original_key, file, max_bytes=image.size)
        except TimeoutError as error:
            raise DependencyUnavailable("store") from error

    async def _keep(self, image: Image, rendering: Rendering, *, claim: JobClaim) -> None:
        await put_thumbnails(self._store, image, rendering)
        try:
            await self._images.replace(image, claim=claim)
        except ImageMissing:
            # Deleted meanwhile, by somebody who knew of no thumbnails.
            await self._store.delete(image.object_keys)


def _require_none_failed(image: Image) -> None:
    """Whoever failed them may have been ended before the job's record said so."""
    for thumbnail in image.thumbnails:
        if thumbnail.status is ThumbnailStatus.FAILED:
            raise ImageCorrupt(thumbnail.reason)


def _rendered(image: Image, rendering: Rendering, *, attempts: int) -> Image:
    """All sizes come from one decode, so that one that was ready already is made again, to the same bytes."""
    tried = {thumbnail.size: thumbnail.attempts for thumbnail in image.thumbnails}
    return dataclasses.replace(
        image,
        width=rendering.width,
        height=rendering.height,
        placeholder=rendering.placeholder,
        thumbnails=tuple(ready_thumbnail(r, attempts=tried.get(r.size, 0) + attempts) for r in rendering.thumbnails),
    )


def _with(image: Image, change: Callable[[Thumbnail], Thumbnail]) -> Image:
    return dataclasses.replace(image, thumbnails=tuple(map(change, image.thumbnails)))


def _is_to_be_made_again(thumbnail: Thumbnail) -> bool:
    return thumbnail.status is ThumbnailStatus.FAILED


def _is_stuck(image: Image, *, now: datetime) -> bool:
    """Whether they have been pending for so long that nobody may be at them; if somebody is, they are made once."""
    return image.is_pending and now - image.uploaded_at > _STUCK


def _pending(thumbnail: Thumbnail) -> Thumbnail:
    return Thumbnail(thumbnail.size, ThumbnailStatus.PENDING, attempts=thumbnail.attempts)


def _failed(thumbnail: Thumbnail, job: Job, error: JobError) -> Thumbnail:
    if thumbnail.status is not ThumbnailStatus.PENDING:
        return thumbnail
    attempts = thumbnail.attempts + job.attempts
    return Thumbnail(thumbnail.size, ThumbnailStatus.FAILED, reason=error.detail, attempts=attempts)
