"""All that a user has, in one ZIP file: the originals, and what is known of them as JSON."""

from __future__ import annotations

import asyncio
import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, ParamSpec, TypeVar

from app.core.errors import ObjectMissing, TooManyAttempts
from app.core.jobs import Job, JobError, JobKind, JobStatus
from app.core.models import Image, SignedUrl, User
from app.core.ports import AccountTable, ImageTable, ObjectStore
from app.usecases.jobs import Jobs
from app.usecases.spool import Spool
from app.usecases.working import Attempt, LeaseLost

P = ParamSpec("P")
T = TypeVar("T")

KEPT = timedelta(days=7)
_REQUESTS = 10
_WINDOW_SECONDS = 86_400
_COPY_BYTES = 1 << 20
_WRITTEN = 90
"""Percent done when all is in the file, which then has to be stored."""


class Exports:
    def __init__(
        self, *, store: ObjectStore, images: ImageTable, attempts: AccountTable, jobs: Jobs, spool: Spool
    ) -> None:
        self._store = store
        self._images = images
        self._attempts = attempts
        self._jobs = jobs
        self._spool = spool

    async def request(self, user: User) -> Job:
        """Raises TooManyAttempts past ten in a day: each reads everything the user has."""
        now = datetime.now(UTC)
        tried = await self._attempts.count_attempt(f"export {user.id}", now=now, window_seconds=_WINDOW_SECONDS)
        if tried.count > _REQUESTS:
            raise TooManyAttempts(retry_after=max(1, round((tried.resets_at - now).total_seconds())))
        job = await self._jobs.add(user.id, JobKind.EXPORT)
        await self._jobs.send(job)
        return job

    async def url(self, job: Job) -> SignedUrl | None:
        """Return the URL of what the job has made; None if there is nothing, or nothing any more."""
        if job.kind is not JobKind.EXPORT or job.status is not JobStatus.COMPLETED:
            return None
        if datetime.now(UTC) - job.updated_at > KEPT:
            return None
        return await self._store.sign_url(job.export_key, filename=f"images-{job.created_at:%Y-%m-%d}.zip")

    async def run(self, attempt: Attempt) -> None:
        """Write the file and store it. Begun anew it begins from nothing: what was written is gone."""
        async with self._spool.file() as file:
            with zipfile.ZipFile(file, "w") as archive:
                await self._write_images(attempt, archive)
                await _in_thread(archive.close)
            size, sha256 = await _in_thread(_measure, file)
            key = attempt.job.export_key
            await self._store.put_file(key, file, size=size, sha256=sha256, content_type="application/zip")
        try:
            await attempt.report()
        except LeaseLost:
            await self._withdraw(attempt.job)
            raise

    async def give_up(self, job: Job, error: JobError) -> None:
        """Nothing was stored, so nothing is to be done."""

    async def _withdraw(self, job: Job) -> None:
        """If the owner has left meanwhile, nobody else removes what was just stored."""
        if await self._jobs.find(User(job.owner_id), job.id) is None:
            await self._store.delete([job.export_key])

    async def _write_images(self, attempt: Attempt, archive: zipfile.ZipFile) -> None:
        job = attempt.job
        images = max(1, (await self._images.usage(job.owner_id)).images)
        listed: list[dict[str, Any]] = []
        async for image in self._images.walk(job.owner_id):
            name = f"images/{image.id}{PurePosixPath(image.original_key).suffix}"
            if await self._write_original(archive, image, name):
                listed.append(_describe(image, name))
                await attempt.report(progress=min(_WRITTEN, _WRITTEN * len(listed) // images))
        await _in_thread(archive.writestr, "metadata.json", json.dumps({"images": listed}, indent=2))

    async def _write_original(self, archive: zipfile.ZipFile, image: Image, name: str) -> bool:
        async with self._spool.file() as original:
            try:
                await self._store.fetch(image.original_key, original, max_bytes=image.size)
            except ObjectMissing:
                return False  # deleted since the list was read
            await _in_thread(_add, archive, original, name, image.uploaded_at)
        return True


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    job = asyncio.get_running_loop().run_in_executor(None, partial(function, *args, **kwargs))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        # A thread cannot be stopped, and an archive that is being written to cannot be closed.
        await asyncio.wait([job])
        job.exception()  # asked for, or asyncio logs that nobody did
        raise


def _add(archive: zipfile.ZipFile, original: BinaryIO, name: str, time: datetime) -> None:
    # Stored as they are: images do not get smaller by being compressed once more.
    entry = zipfile.ZipInfo(name, date_time=time.astimezone(UTC).timetuple()[:6])
    original.seek(0)
    with archive.open(entry, "w", force_zip64=True) as member:
        while part := original.read(_COPY_BYTES):
            member.write(part)


def _measure(file: BinaryIO) -> tuple[int, str]:
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    while part := file.read(_COPY_BYTES):
        digest.update(part)
        size += len(part)
    return size, digest.hexdigest()


def _describe(image: Image, name: str) -> dict[str, Any]:
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
