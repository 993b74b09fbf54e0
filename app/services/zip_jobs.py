"""What the jobs that pack originals into a ZIP file have in common."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import ClassVar

from app.domain.accounts import User
from app.domain.claims import ClaimLost
from app.domain.errors import DependencyUnavailable, ObjectMissing, Overloaded, UploadMissing
from app.domain.images import Image
from app.domain.jobs import Job, JobError, JobStatus
from app.domain.retention import EXPORT_RETENTION
from app.jobs.attempt import Attempt
from app.jobs.registry import JobResult, JobSpec
from app.jobs.service import JobService
from app.ports.clock import Clock
from app.ports.part_store import PartStore
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable
from app.services.export_writer import (
    READ_BYTES,
    ExportWriter,
    delete_checkpoint,
    discard_export,
    open_export,
    read_object,
)

SPACE_FACTOR = 1.1
"""Space for a ZIP file, as a multiple of the images' bytes: the file adds headers and metadata."""
WRITTEN = 90
"""Percent done when all images are written, and the directory remains."""
_MAX_CONCURRENT = 2
"""Per kind and worker, so that the other slots stay free for short jobs."""


class ZipJobs(ABC):
    """The handler of one kind of job."""

    with_metadata: ClassVar[bool]
    """Whether the file contains metadata.json."""

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
    @abstractmethod
    def job_spec(self) -> JobSpec: ...

    @abstractmethod
    def _key(self, job: Job) -> str:
        """Return the key of the job's file."""

    @abstractmethod
    async def _write(self, attempt: Attempt, writer: ExportWriter) -> None:
        """Write the images that are not in the file yet. Report the progress, up to WRITTEN percent."""

    @abstractmethod
    async def _clean_up(self, job: Job, key: str) -> None:
        """Delete what is no longer needed now that the file is complete. May be called again."""

    async def run(self, attempt: Attempt) -> None:
        """Write the ZIP file into the store.

        An attempt continues from the checkpoint of the previous one. Raises Overloaded while other jobs of this kind
        are running.
        """
        if self._slots.locked():
            raise Overloaded("Other exports are running.")
        key = self._key(attempt.job)
        if await self._store.size(key) is None:
            async with self._slots:
                await self._store_file(attempt, key)
        else:
            # An earlier attempt ended after it had stored the file.
            await delete_checkpoint(self._store, key)
        await self._clean_up(attempt.job, key)

    async def give_up(self, job: Job, error: JobError) -> None:  # noqa: ARG002
        """Delete what is stored of the incomplete file."""
        await discard_export(self._store, self._parts, self._key(job))

    async def _job_result(self, job: Job) -> JobResult:
        """Return a download URL as long as the file exists."""
        key, note = self._key(job), job.description or None
        is_expired = self._clock() - job.created_at > EXPORT_RETENTION
        if job.status is not JobStatus.COMPLETED or is_expired or await self._store.size(key) is None:
            return JobResult(note=note)
        signed = await self._store.sign_url(key, filename=f"images-{job.created_at:%Y-%m-%d}.zip")
        return JobResult(download=signed, note=note)

    async def _store_file(self, attempt: Attempt, key: str) -> None:
        writer = await open_export(self._store, self._parts, key)
        try:
            await self._write_file(attempt, writer)
            await attempt.report()
        except (ClaimLost, asyncio.CancelledError):
            await asyncio.shield(self._discard_if_orphaned(attempt.job, writer))
            raise

    async def _write_file(self, attempt: Attempt, writer: ExportWriter) -> None:
        try:
            await self._write(attempt, writer)
            await writer.finish(time=self._clock(), with_metadata=self.with_metadata)
        except UploadMissing as error:
            # The parts have expired, or a later part of an earlier attempt is left. The next attempt starts over.
            await writer.discard()
            raise DependencyUnavailable("store") from error

    async def _discard_if_orphaned(self, job: Job, writer: ExportWriter) -> None:
        """Delete what is stored of the file if the owner's account was deleted in the meantime."""
        if await self._jobs.find(User(job.owner_id), job.id) is None:
            await writer.discard()

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

    @staticmethod
    async def _report_progress(attempt: Attempt, *, done: int, total: int) -> None:
        progress = min(WRITTEN, WRITTEN * done // max(1, total))
        if progress > attempt.job.progress:
            await attempt.report(progress=progress)

    @staticmethod
    async def _report_note(attempt: Attempt, note: str) -> None:
        if note != (attempt.job.description or ""):  # That of an earlier attempt
            await attempt.report(description=note)
