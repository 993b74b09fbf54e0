"""Exports: a ZIP file with all originals of a user, and their metadata as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import structlog

from app.common.rate_limit import RateLimit
from app.domain.accounts import User
from app.domain.errors import DependencyUnavailable, ExportTooLarge, ImageMissing
from app.domain.images import Image
from app.domain.jobs import Job
from app.domain.object_keys import EXPORTS_PREFIX, export_key
from app.jobs.attempt import Attempt
from app.jobs.registry import JobSpec
from app.services.export_names import MemberNames
from app.services.export_writer import MAX_PARTS, PART_BYTES, ExportWriter
from app.services.zip_jobs import SPACE_FACTOR, ZipJobs

_log = structlog.stdlib.get_logger(__name__)

_SEARCHED_JOBS = 50
_MISSING = "The file is missing in the store."
_PENDING = "The image was not scanned yet."


class Exports(ZipJobs):
    with_metadata = True

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

    def _key(self, job: Job) -> str:
        return export_key(job.owner_id, job.id)

    async def _clean_up(self, job: Job, key: str) -> None:
        """Keep one export per owner: it may be as large as all their images together.

        Downloads of selected images are in the same folder, but DOWNLOADS_FOLDER is after all ids, which begin with 0.
        """
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
        await self._parts.require_space(int(usage.bytes * SPACE_FACTOR))
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
            await self._report_progress(attempt, done=writer.images, total=usage.images)
        await self._report_note(attempt, _note(writer.left_out))

    async def _exists(self, image: Image) -> bool:
        try:
            await self._images.get(image.owner_id, image.id)
        except ImageMissing:
            return False
        return True


def _note(left_out: int) -> str:
    if not left_out:
        return ""
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
