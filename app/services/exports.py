"""Exports: a ZIP file with all originals of a user, and their metadata as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import structlog

from app.common.rate_limit import RateLimit
from app.domain.accounts import User
from app.domain.claims import ClaimLost
from app.domain.errors import (
    DependencyUnavailable,
    ExportTooLarge,
    ImageMissing,
    ObjectMissing,
    Overloaded,
    UploadMissing,
)
from app.domain.images import Image
from app.domain.jobs import Job, JobError, JobStatus
from app.domain.object_keys import EXPORTS_PREFIX, export_key
from app.domain.retention import EXPORT_RETENTION
from app.jobs.attempt import Attempt
from app.jobs.registry import JobResult, JobSpec
from app.jobs.service import JobService
from app.ports.clock import Clock
from app.ports.part_store import PartStore
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable
from app.services.export_names import MemberNames
from app.services.export_writer import (
    MAX_PARTS,
    PART_BYTES,
    READ_BYTES,
    ExportWriter,
    delete_checkpoint,
    discard_export,
    open_export,
    read_object,
)

_log = structlog.stdlib.get_logger(__name__)

_MAX_CONCURRENT = 2
"""Per worker, so that the other slots stay free for short jobs."""
_SEARCHED_JOBS = 50
_MISSING = "The file is missing in the store."
_PENDING = "The image was not scanned yet."
_SPACE_FACTOR = 1.1
"""Space for the export, as a multiple of the images' bytes: the ZIP file adds headers and metadata."""
_WRITTEN = 90
"""Percent done when all images are written, and the metadata and the directory remain."""


class Exports:
    def __init__(
        self, *, store: ObjectStore, parts: PartStore, images: ImageTable, jobs: JobService, clock: Clock
    ) -> None:
        self._store = store
        self._images = images
        self._jobs = jobs
        self._parts = parts
        self._clock = clock
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)

    @property
    def job_spec(self) -> JobSpec:
        return JobSpec(
            kind="export",
            label="Packing your images",
            handler=self,
            result=self._job_result,
            rate_limit=RateLimit("export", limit=10, window_seconds=86_400),
        )

    async def request(self, user: User) -> Job:
        """Return the export that is in progress, or submit a new one. Raises TooManyAttempts."""
        page = await self._jobs.page(user, cursor=None, limit=_SEARCHED_JOBS, status=None)
        for job in page.items:
            if job.kind == self.job_spec.kind and not job.is_finished:
                return job
        return await self._jobs.submit(user, self.job_spec)

    async def run(self, attempt: Attempt) -> None:
        """Write the ZIP file into the store; it replaces an older export.

        An attempt continues from the checkpoint of the previous one. Raises Overloaded while other exports are running.
        """
        if self._slots.locked():
            raise Overloaded("Other exports are running.")
        key = export_key(attempt.job.owner_id, attempt.job.id)
        if await self._store.size(key) is None:
            async with self._slots:
                await self._store_file(attempt, key)
        else:
            # An earlier attempt ended after it had stored the file.
            await delete_checkpoint(self._store, key)
        await self._delete_older(attempt.job, key)

    async def give_up(self, job: Job, error: JobError) -> None:  # noqa: ARG002
        """Delete what is stored of the incomplete file."""
        await discard_export(self._store, self._parts, export_key(job.owner_id, job.id))

    async def _job_result(self, job: Job) -> JobResult:
        """Return a download URL as long as the file exists."""
        key, note = export_key(job.owner_id, job.id), job.description or None
        is_expired = self._clock() - job.created_at > EXPORT_RETENTION
        if job.status is not JobStatus.COMPLETED or is_expired or await self._store.size(key) is None:
            return JobResult(note=note)
        signed = await self._store.sign_url(key, filename=f"images-{job.created_at:%Y-%m-%d}.zip")
        return JobResult(download=signed, note=note)

    async def _store_file(self, attempt: Attempt, key: str) -> None:
        writer = await open_export(self._store, self._parts, key)
        try:
            await self._write(attempt, writer)
            await attempt.report()
        except (ClaimLost, asyncio.CancelledError):
            await asyncio.shield(self._discard_if_orphaned(attempt.job, writer))
            raise

    async def _discard_if_orphaned(self, job: Job, writer: ExportWriter) -> None:
        """Delete what is stored of the file if the owner's account was deleted in the meantime."""
        if await self._jobs.find(User(job.owner_id), job.id) is None:
            await writer.discard()

    async def _delete_older(self, job: Job, key: str) -> None:
        """Keep one export per owner: it may be as large as all their images together."""
        folder = f"{EXPORTS_PREFIX}{job.owner_id}/"
        try:
            await self._store.delete([old.key async for old in self._store.walk(folder) if old.key < key])
        except DependencyUnavailable as error:
            # The new export is complete. A reconcile run deletes the older one when it has expired.
            _log.warning("objects.left_for_reconcile", cause=error.code)

    async def _write(self, attempt: Attempt, writer: ExportWriter) -> None:
        usage = await self._images.usage(attempt.job.owner_id)
        if usage.bytes > PART_BYTES * MAX_PARTS:
            raise ExportTooLarge
        await self._parts.require_space(int(usage.bytes * _SPACE_FACTOR))
        try:
            await self._write_images(attempt, writer, images=max(1, usage.images))
            await writer.finish(time=self._clock())
        except UploadMissing as error:
            # The parts have expired, or a later part of an earlier attempt is left. The next attempt starts over.
            await writer.discard()
            raise DependencyUnavailable("store") from error

    async def _write_images(self, attempt: Attempt, writer: ExportWriter, *, images: int) -> None:
        names = MemberNames()
        async for name in writer.names():
            names.reserve(name)
        async for image in self._images.walk(attempt.job.owner_id, after=writer.after):
            name = names.name_of(image)
            if image.is_pending:
                left_out = {"id": image.id, "filename": image.filename, "reason": _PENDING}
                await writer.count(image.id, {"left_out": left_out})
            elif await self._write_original(writer, image, name):
                await writer.count(image.id, {"image": _metadata(image, name)})
            elif await self._exists(image):
                left_out = {"id": image.id, "filename": image.filename, "reason": _MISSING}
                await writer.count(image.id, {"left_out": left_out})
            progress = min(_WRITTEN, _WRITTEN * writer.images // images)
            if progress > attempt.job.progress:
                await attempt.report(progress=progress)
        await attempt.report(description=_note(writer.left_out))

    async def _exists(self, image: Image) -> bool:
        try:
            await self._images.get(image.owner_id, image.id)
        except ImageMissing:
            return False
        return True

    async def _write_original(self, writer: ExportWriter, image: Image, name: str) -> bool:
        """Return False if the original is missing. Usually the image was deleted after the list was read."""
        try:
            first = await self._store.read(image.original_key, start=0, size=READ_BYTES)
        except ObjectMissing:
            return False

        async def data() -> AsyncIterator[bytes]:
            yield first
            if len(first) == READ_BYTES:
                async for block in read_object(self._store, image.original_key, start=READ_BYTES):
                    yield block

        try:
            await writer.add(name, data, time=image.uploaded_at)
        except (ObjectMissing, ValueError) as error:
            # It was deleted in the middle. The next attempt continues from the checkpoint, before the image.
            raise DependencyUnavailable("store") from error
        return True


def _note(left_out: int) -> str:
    if not left_out:
        return ""  # It replaces the note of an earlier attempt.
    images = "1 image was" if left_out == 1 else f"{left_out} images were"
    return (
        f"{images} left out, because the file is missing or was not scanned yet. The list left_out in metadata.json "
        "names each of them."
    )


def _metadata(image: Image, name: str) -> dict[str, Any]:
    return {
        "id": image.id,
        "file": name,
        "filename": image.filename,
        "description": image.description,
        "content_type": image.content_type,
        "size": image.size,
        "sha256": image.sha256,
        "uploaded_sha256": image.uploaded_sha256 or image.sha256,
        "width": image.width,
        "height": image.height,
        "uploaded_at": image.uploaded_at.isoformat(),
        "source": asdict(image.source) if image.source else None,
        "focal_point": asdict(image.focal_point) if image.focal_point else None,
        "metadata": asdict(image.metadata) if image.metadata else None,
        "custom_metadata": image.custom_metadata,
    }
