"""Exports: a ZIP file with all originals of a user, and their metadata as JSON."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import structlog

from app.common.blocking_io import run_blocking_io
from app.common.rate_limit import RateLimit
from app.common.temp_files import TempFiles
from app.domain.accounts import User
from app.domain.claims import ClaimLost
from app.domain.errors import DependencyUnavailable, ImageMissing, ObjectMissing, Overloaded
from app.domain.images import Image
from app.domain.jobs import Job, JobError, JobStatus
from app.domain.object_keys import EXPORTS_PREFIX, export_key
from app.domain.retention import EXPORT_RETENTION
from app.jobs.attempt import Attempt
from app.jobs.registry import JobResult, JobSpec
from app.jobs.service import JobService
from app.ports.clock import Clock
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable
from app.services.export_names import MemberNames

_log = structlog.stdlib.get_logger(__name__)

_MAX_CONCURRENT = 2
"""Per worker, so that the other slots stay free for short jobs."""
_SEARCHED_JOBS = 50
_MISSING = "The file is missing in the store."
_PENDING = "The image was not scanned yet."
_COPY_BYTES = 1 << 20
_SPACE_FACTOR = 1.1
"""Space for the export, as a multiple of the images' bytes: the ZIP file adds headers, and one image is copied."""
_WRITTEN = 90
"""Percent done when the ZIP file is complete and remains to be stored."""


class Exports:
    def __init__(
        self, *, store: ObjectStore, images: ImageTable, jobs: JobService, temp_files: TempFiles, clock: Clock
    ) -> None:
        self._store = store
        self._images = images
        self._jobs = jobs
        self._temp_files = temp_files
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
        """Write the ZIP file and store it; it replaces an older export.

        Every attempt starts over. Raises Overloaded while other exports are running.
        """
        if self._slots.locked():
            raise Overloaded("Other exports are running.")
        key = export_key(attempt.job.owner_id, attempt.job.id)
        async with self._slots, self._temp_files.file() as file:
            await self._write(attempt, file)
            size, sha256 = await run_blocking_io(_measure, file)
            await self._store.put_file(key, file, size=size, sha256=sha256, content_type="application/zip")
        try:
            await attempt.report()
        except ClaimLost:
            await self._delete_if_orphaned(attempt.job, key)
            raise
        await self._delete_older(attempt.job, key)

    async def give_up(self, job: Job, error: JobError) -> None:
        """Nothing was stored, so there is nothing to clean up."""

    async def _job_result(self, job: Job) -> JobResult:
        """Return a download URL as long as the file exists."""
        key, note = export_key(job.owner_id, job.id), job.description or None
        is_expired = self._clock() - job.created_at > EXPORT_RETENTION
        if job.status is not JobStatus.COMPLETED or is_expired or await self._store.size(key) is None:
            return JobResult(note=note)
        signed = await self._store.sign_url(key, filename=f"images-{job.created_at:%Y-%m-%d}.zip")
        return JobResult(download=signed, note=note)

    async def _delete_if_orphaned(self, job: Job, key: str) -> None:
        """Delete the stored file if the owner's account was deleted in the meantime."""
        if await self._jobs.find(User(job.owner_id), job.id) is None:
            await self._store.delete([key])

    async def _delete_older(self, job: Job, key: str) -> None:
        """Keep one export per owner: it may be as large as all their images together."""
        folder = f"{EXPORTS_PREFIX}{job.owner_id}/"
        try:
            await self._store.delete([old.key async for old in self._store.walk(folder) if old.key < key])
        except DependencyUnavailable as error:
            # The new export is complete. A reconcile run deletes the older one when it has expired.
            _log.warning("objects.left_for_reconcile", cause=error.code)

    async def _write(self, attempt: Attempt, file: BinaryIO) -> None:
        usage = await self._images.usage(attempt.job.owner_id)
        await self._temp_files.require_space(int(usage.bytes * _SPACE_FACTOR))
        # The metadata goes to a second file first, because a ZIP file is written one member at a time, and the list of
        # all images may be long. An unbuffered file may write less than it was given, which zipfile does not check.
        buffered = io.BufferedRandom(cast("io.RawIOBase", file))
        try:
            async with self._temp_files.file() as metadata:
                with zipfile.ZipFile(buffered, "w") as archive:
                    await self._write_images(attempt, archive, metadata, images=max(1, usage.images))
                    await run_blocking_io(_add, archive, metadata, "metadata.json", self._clock())
                    await run_blocking_io(archive.close)
        finally:
            await run_blocking_io(buffered.detach)

    async def _write_images(
        self, attempt: Attempt, archive: zipfile.ZipFile, metadata: BinaryIO, *, images: int
    ) -> None:
        await run_blocking_io(metadata.write, b'{"images": [')
        names, left_out = MemberNames(), list[dict[str, str]]()
        written = 0
        async for image in self._images.walk(attempt.job.owner_id):
            name = names.name_of(image)
            if image.is_pending:
                left_out.append({"id": image.id, "filename": image.filename, "reason": _PENDING})
            elif await self._write_original(archive, image, name):
                line = json.dumps(_metadata(image, name)).encode()
                await run_blocking_io(metadata.write, b",\n" + line if written else b"\n" + line)
                written += 1
            elif await self._exists(image):
                left_out.append({"id": image.id, "filename": image.filename, "reason": _MISSING})
            progress = min(_WRITTEN, _WRITTEN * written // images)
            if progress > attempt.job.progress:
                await attempt.report(progress=progress)
        await run_blocking_io(metadata.write, b'\n],\n"left_out": ' + json.dumps(left_out).encode() + b"}\n")
        await attempt.report(description=_note(len(left_out)))

    async def _exists(self, image: Image) -> bool:
        try:
            await self._images.get(image.owner_id, image.id)
        except ImageMissing:
            return False
        return True

    async def _write_original(self, archive: zipfile.ZipFile, image: Image, name: str) -> bool:
        async with self._temp_files.file() as original:
            try:
                await self._store.fetch(image.original_key, original, max_bytes=image.size)
            except ObjectMissing:
                return False  # Usually the image was deleted after the list was read.
            await run_blocking_io(_add, archive, original, name, image.uploaded_at)
        return True


def _note(left_out: int) -> str:
    if not left_out:
        return ""  # It replaces the note of an earlier attempt.
    images = "1 image was" if left_out == 1 else f"{left_out} images were"
    return (
        f"{images} left out, because the file is missing or was not scanned yet. The list left_out in metadata.json "
        "names each of them."
    )


def _add(archive: zipfile.ZipFile, original: BinaryIO, name: str, time: datetime) -> None:
    # Stored without compression: images do not get smaller by compressing them again.
    entry = zipfile.ZipInfo(name, date_time=time.astimezone(UTC).timetuple()[:6])
    original.seek(0)
    with archive.open(entry, "w", force_zip64=True) as member:
        while part := original.read(_COPY_BYTES):
            member.write(part)


def _measure(file: BinaryIO) -> tuple[int, str]:
    file.seek(0)
    digest = hashlib.file_digest(cast("io.FileIO", file), "sha256")
    return file.tell(), digest.hexdigest()


def _metadata(image: Image, name: str) -> dict[str, Any]:
    return {
        "id": image.id,
        "file": name,
        "filename": image.filename,
        "description": image.description,
        "content_type": image.content_type,
        "size": image.size,
        "sha256": image.sha256,
        "width": image.width,
        "height": image.height,
        "uploaded_at": image.uploaded_at.isoformat(),
        "source": asdict(image.source) if image.source else None,
    }
