"""Downloads of selected images: a ZIP file with the originals of up to MAX_IMAGES images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.common.rate_limit import RateLimit
from app.domain.accounts import User
from app.domain.claims import ClaimLost, RequestClaim
from app.domain.errors import DependencyUnavailable, ImageMissing, ObjectMissing, TooManyAttempts
from app.domain.ids import new_id
from app.domain.images import Image
from app.domain.jobs import Job
from app.domain.object_keys import DOWNLOADS_FOLDER, EXPORTS_PREFIX, download_key, selection_key
from app.jobs.attempt import Attempt
from app.jobs.registry import JobSpec
from app.services.export_names import MemberNames
from app.services.export_writer import READ_BYTES, ExportWriter
from app.services.zip_jobs import SPACE_FACTOR, ZipJobs

MAX_IMAGES = 500
_KEPT = timedelta(hours=1)
"""How long a file is kept even if the owner requests another download."""

_log = structlog.stdlib.get_logger(__name__)


class Downloads(ZipJobs):
    """The ids of a job's images are in an object, because a record of this size would be written again and again.

    A reconcile run deletes the object when it has expired, as it does with the file.
    """

    with_metadata = False

    @property
    def job_spec(self) -> JobSpec:
        return JobSpec(
            kind="download",
            label="Packing the selected images",
            handler=self,
            result=self._job_result,
            rate_limit=RateLimit("download", limit=100, window_seconds=86_400),
        )

    async def request(self, user: User, image_ids: Sequence[str], *, claim: RequestClaim | None = None) -> Job:
        """Submit a job that packs these images. Missing images are left out. Raises TooManyAttempts and ClaimLost."""
        job_id = claim.result_id if claim else new_id()
        key = selection_key(user.id, job_id)
        ids = sorted(set(image_ids))
        # The selection is stored before the job exists, so that a worker always finds it.
        await self._store.put(key, json.dumps(ids).encode(), content_type="application/json")
        try:
            return await self._jobs.submit(user, self.job_spec, job_id=job_id, claim=claim)
        except (TooManyAttempts, ClaimLost):
            await self._store.delete([key])
            raise

    def _key(self, job: Job) -> str:
        return download_key(job.owner_id, job.id)

    async def _clean_up(self, job: Job, key: str) -> None:
        """Delete the owner's older files, except those that may be being downloaded right now."""
        try:
            before = await self._store.now() - _KEPT
            folder = f"{EXPORTS_PREFIX}{job.owner_id}/{DOWNLOADS_FOLDER}"
            older = [old async for old in self._store.walk(folder) if old.key < key and old.key.endswith(".zip")]
            await self._store.delete([old.key for old in older if old.modified_at < before])
        except DependencyUnavailable as error:
            # The new file is complete. A reconcile run deletes the older ones when they have expired.
            _log.warning("objects.left_for_reconcile", cause=error.code)

    async def _write(self, attempt: Attempt, writer: ExportWriter) -> None:
        ids = await self._selected_ids(attempt.job)
        images = [image for image_id in ids if (image := await self._find(attempt.job.owner_id, image_id))]
        await self._parts.require_space(int(sum(image.size for image in images) * SPACE_FACTOR))
        names = MemberNames(folder="")
        async for name in writer.names():
            names.reserve(name)
        for image in images:
            if image.id <= writer.after:
                continue
            name = names.name_of(image)
            if await self._write_original(writer, image, name):
                await writer.count(image.id, {"image": image.id})
            await self._report_progress(attempt, done=writer.images, total=len(ids))
        if not writer.images:
            raise ImageMissing("None of the selected images can be downloaded: they were deleted or not scanned yet.")
        await self._report_note(attempt, _note(len(ids) - writer.images))

    async def _selected_ids(self, job: Job) -> list[str]:
        try:
            content = await self._store.read(selection_key(job.owner_id, job.id), start=0, size=READ_BYTES)
        except ObjectMissing as error:
            raise ImageMissing("The list of the selected images has expired. Request the download again.") from error
        ids: list[str] = json.loads(content)
        return ids

    async def _find(self, owner_id: str, image_id: str) -> Image | None:
        """Return None for an image that is missing or was not scanned yet."""
        try:
            image = await self._images.get(owner_id, image_id)
        except ImageMissing:
            return None
        return None if image.is_pending else image


def _note(left_out: int) -> str:
    if not left_out:
        return ""
    images = "1 image was" if left_out == 1 else f"{left_out} images were"
    return f"{images} left out, because the image was deleted, its file is missing or it was not scanned yet."
