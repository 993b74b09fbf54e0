"""Has new images scanned before anyone can see them, in background jobs."""

from __future__ import annotations

from urllib.parse import urljoin

import structlog

from app.common.object_deletion import ObjectDeletion
from app.common.webhook_events import WebhookEvents
from app.domain.accounts import User
from app.domain.errors import ImageMissing, ScanRejected
from app.domain.events import EventType
from app.domain.images import Image, ImageStatus
from app.domain.jobs import Job, JobError
from app.jobs.attempt import Attempt
from app.jobs.registry import JobResult, JobSpec
from app.jobs.service import JobService
from app.ports.clock import Clock
from app.ports.scanner import Scanner
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable
from app.services.uploads import RENDER_JOB_KIND, SCAN_JOB_KIND

_log = structlog.stdlib.get_logger(__name__)


class Scanning:
    def __init__(
        self,
        *,
        scanner: Scanner,
        store: ObjectStore,
        images: ImageTable,
        deletion: ObjectDeletion,
        events: WebhookEvents,
        jobs: JobService,
        base_url: str,
        clock: Clock,
    ) -> None:
        """`base_url` is that of this service, for stores whose URLs it serves itself."""
        self._scanner = scanner
        self._store = store
        self._images = images
        self._deletion = deletion
        self._events = events
        self._jobs = jobs
        self._base_url = base_url
        self._clock = clock

    @property
    def job_spec(self) -> JobSpec:
        return JobSpec(
            kind=SCAN_JOB_KIND,
            label="Scanning the image",
            handler=self,
            result=_job_result,
            retries_forever=True,  # An image stays pending until the scanner has decided.
        )

    async def run(self, attempt: Attempt) -> None:
        """Have the scanner decide, unless an earlier attempt did. Raises ScanRejected and DependencyUnavailable."""
        job = attempt.job
        try:
            image = await self._images.get(job.owner_id, job.image_id or "")
        except ImageMissing:
            return  # The image was deleted, or its upload refused.
        if not image.is_pending:
            return
        signed = await self._store.sign_url(image.original_key)
        reason = await self._scanner.scan(image, url=urljoin(self._base_url, signed.url))
        try:
            if reason is None:
                await self._accept(image)
            else:
                await self._reject(image, reason)
        except ImageMissing:
            return  # A user deleted it in the meantime.

    async def give_up(self, job: Job, error: JobError) -> None:
        """Do nothing: a rejected image was removed already, and other errors are retried."""

    async def _accept(self, image: Image) -> None:
        # The job is added first: an accepted image whose thumbnails nobody renders must never exist.
        job = await self._jobs.add(User(image.owner_id), RENDER_JOB_KIND, image_id=image.id)
        await self._images.edit(image.owner_id, image.id, changes={"status": ImageStatus.READY})
        await self._jobs.send(job)
        _log.info("image.scan_accepted", image_id=image.id)

    async def _reject(self, image: Image, reason: str) -> None:
        """Remove the image, report it, and raise ScanRejected."""
        deleted_at = self._clock()
        events = await self._events.of_image(image, EventType.IMAGE_FAILED, reason=reason)
        await self._images.remove(image.owner_id, image.id, deleted_at=deleted_at, events=events)
        await self._deletion.delete_objects(image, deleted_at=deleted_at)
        _log.warning("image.scan_rejected", image_id=image.id, reason=reason)
        raise ScanRejected(f"The image was rejected: {reason}")


async def _job_result(job: Job) -> JobResult:
    return JobResult(image_id=job.image_id)
