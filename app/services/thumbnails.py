"""Renders thumbnails in background jobs: after asynchronous uploads, and again after failures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

from app.common.rate_limit import RateLimit
from app.common.temp_files import TempFiles
from app.common.webhook_events import WebhookEvents
from app.domain.accounts import User
from app.domain.claims import JobClaim
from app.domain.errors import ImageCorrupt, ImageMissing, ObjectMissing
from app.domain.events import EventType
from app.domain.images import Image, Thumbnail, ThumbnailStatus
from app.domain.jobs import Job, JobError
from app.domain.renderings import Rendering
from app.jobs.attempt import Attempt
from app.jobs.registry import JobResult, JobSpec
from app.jobs.service import JobService
from app.ports.clock import Clock
from app.ports.renderer import Renderer
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable
from app.services.library import Library
from app.services.originals import fetch_original
from app.services.rendered_thumbnails import put_thumbnails, ready_thumbnail
from app.services.uploads import RENDER_JOB_KIND

_STUCK_AFTER = timedelta(minutes=15)
_FETCHED, _RENDERED = 30, 80
"""Percent done."""


class Thumbnails:
    def __init__(
        self,
        *,
        store: ObjectStore,
        images: ImageTable,
        library: Library,
        renderer: Renderer,
        jobs: JobService,
        events: WebhookEvents,
        temp_files: TempFiles,
        clock: Clock,
    ) -> None:
        self._store = store
        self._images = images
        self._library = library
        self._renderer = renderer
        self._jobs = jobs
        self._events = events
        self._temp_files = temp_files
        self._clock = clock

    @property
    def job_spec(self) -> JobSpec:
        return JobSpec(
            kind=RENDER_JOB_KIND,
            label="Rendering thumbnails",
            handler=self,
            result=_job_result,
            rate_limit=RateLimit("thumbnails", limit=100, window_seconds=3600),
        )

    async def retry_failed(self, user: User, image_id: str) -> Image:
        """Have the failed thumbnails rendered again. Without failed thumbnails nothing changes.

        Raises ImageMissing, ImagePending and TooManyAttempts.
        """
        image = await self._library.get_ready(user, image_id)
        if not any(map(_has_failed, image.thumbnails)) and not self._is_stuck(image):
            return image
        job = await self._jobs.submit(user, self.job_spec, image_id=image.id, send=False)
        image = _with_thumbnails(image, lambda t: _pending(t) if _has_failed(t) else t)
        await self._images.update_thumbnails(image)
        await self._jobs.send(job)
        return image

    async def run(self, attempt: Attempt) -> None:
        """Render the thumbnails if the image exists and some are pending.

        Raises what `Renderer.render` raises, and ObjectMissing if the image has no original.
        """
        job, user = attempt.job, User(attempt.job.owner_id)
        image = await self._library.find(user, job.image_id or "")
        if image is None:
            return  # The image was deleted, or its upload refused: its record is written before the message is sent.
        if image.is_pending:
            return  # The scan job that accepts the image adds another job.
        if not image.has_pending_thumbnails:
            _require_none_failed(image)
            return
        async with self._temp_files.file() as file:
            try:
                await fetch_original(self._store, image.original_key, file, max_bytes=image.size)
            except ObjectMissing:
                if await self._library.find(user, image.id) is None:
                    return  # The image was deleted in the meantime.
                raise
            await attempt.report(progress=_FETCHED)
            rendering = await self._renderer.render(file, owner_id=image.owner_id)
        await attempt.report(progress=_RENDERED)
        rendered = _with_rendering(image, rendering, attempts=job.attempts)
        await self._store_thumbnails(rendered, rendering, claim=attempt.job.job_claim)

    async def give_up(self, job: Job, error: JobError) -> None:
        try:
            image = await self._images.get(job.owner_id, job.image_id or "")
            if not image.has_pending_thumbnails:
                return  # An earlier attempt marked them, and reported it.
            failed = _with_thumbnails(image, lambda t: _failed(t, job, error))
            events = await self._events.of_image(failed, EventType.IMAGE_FAILED, reason=error.detail)
            await self._images.update_thumbnails(failed, claim=job.job_claim, events=events)
        except ImageMissing:
            return

    async def _store_thumbnails(self, image: Image, rendering: Rendering, *, claim: JobClaim) -> None:
        await put_thumbnails(self._store, image, rendering)
        await self._store.make_durable(image.object_keys)
        try:
            events = await self._events.of_image(image, EventType.IMAGE_READY)
            await self._images.update_thumbnails(image, claim=claim, events=events)
        except ImageMissing:
            # The image was deleted in the meantime, and the deletion did not know of these thumbnails.
            await self._store.delete(image.object_keys)

    def _is_stuck(self, image: Image) -> bool:
        """Return whether thumbnails have been pending for so long that their job may be lost."""
        return image.has_pending_thumbnails and self._clock() - image.uploaded_at > _STUCK_AFTER


async def _job_result(job: Job) -> JobResult:
    return JobResult(image_id=job.image_id)


def _require_none_failed(image: Image) -> None:
    """Raise ImageCorrupt if a thumbnail failed: an attempt may end after it marked them and before the job failed."""
    for thumbnail in image.thumbnails:
        if thumbnail.status is ThumbnailStatus.FAILED:
            raise ImageCorrupt(thumbnail.reason)


def _with_rendering(image: Image, rendering: Rendering, *, attempts: int) -> Image:
    """Return the image with all thumbnails ready. Those that were ready already are rendered to the same bytes."""
    tried: dict[int, int] = {thumbnail.size: thumbnail.attempts for thumbnail in image.thumbnails}
    return dataclasses.replace(
        image,
        width=rendering.width,
        height=rendering.height,
        placeholder=rendering.placeholder,
        thumbnails=tuple(ready_thumbnail(r, attempts=tried.get(r.size, 0) + attempts) for r in rendering.thumbnails),
    )


def _with_thumbnails(image: Image, change: Callable[[Thumbnail], Thumbnail]) -> Image:
    return dataclasses.replace(image, thumbnails=tuple(map(change, image.thumbnails)))


def _has_failed(thumbnail: Thumbnail) -> bool:
    return thumbnail.status is ThumbnailStatus.FAILED


def _pending(thumbnail: Thumbnail) -> Thumbnail:
    return Thumbnail(thumbnail.size, ThumbnailStatus.PENDING, attempts=thumbnail.attempts)


def _failed(thumbnail: Thumbnail, job: Job, error: JobError) -> Thumbnail:
    if thumbnail.status is not ThumbnailStatus.PENDING:
        return thumbnail
    attempts = thumbnail.attempts + job.attempts
    return Thumbnail(thumbnail.size, ThumbnailStatus.FAILED, reason=error.detail, attempts=attempts)
