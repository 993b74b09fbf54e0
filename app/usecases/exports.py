"""All that a user has, in one ZIP file: the originals, and what is known of them as JSON."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from app.core.errors import ObjectMissing, Overloaded
from app.core.jobs import Job, JobError, JobKind, JobStatus
from app.core.models import EXPORTS_PREFIX, ClaimLost, Image, SignedUrl, User
from app.core.ports import AccountTable, ImageTable, ObjectStore
from app.core.threads import on_disk
from app.usecases.jobs import Jobs
from app.usecases.rates import Rate
from app.usecases.spool import Spool
from app.usecases.working import Attempt

KEPT = timedelta(days=7)
_RATE = Rate("export", limit=10, window_seconds=86_400)
_AT_ONCE = 2
"""In one worker: the others of its hands stay free for what is quick."""
_NEWEST = 50
_COPY_BYTES = 1 << 20
_ROOM_SHARE = 1.1
"""Of the bytes of the images: what the ZIP file adds, and what is just being copied."""
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
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def request(self, user: User) -> Job:
        """Return the export that is under way, or a new one. Raises TooManyAttempts past ten in a day."""
        page = await self._jobs.page(user, cursor=None, limit=_NEWEST, status=None)
        for job in page.items:
            if job.kind is JobKind.EXPORT and not job.is_finished:
                return job
        await _RATE.count(self._attempts, user, clock=self._jobs.clock)
        job = await self._jobs.add(user.id, JobKind.EXPORT)
        await self._jobs.send(job)
        return job

    async def url(self, job: Job) -> SignedUrl | None:
        """Return the URL of what the job has made; None if there is nothing, or nothing any more."""
        if job.kind is not JobKind.EXPORT or job.status is not JobStatus.COMPLETED:
            return None
        if self._jobs.clock() - job.created_at > KEPT or await self._store.size(job.export_key) is None:
            return None
        return await self._store.sign_url(job.export_key, filename=f"images-{job.created_at:%Y-%m-%d}.zip")

    async def run(self, attempt: Attempt) -> None:
        """Write the file and store it in the place of an older one.

        Begun anew it begins from nothing: what was written is gone. Raises Overloaded while others are at it.
        """
        if self._places.locked():
            raise Overloaded("Other exports come first.")
        async with self._places, self._spool.file() as file:
            await self._write(attempt, file)
            size, sha256 = await on_disk(_measure, file)
            key = attempt.job.export_key
            await self._store.put_file(key, file, size=size, sha256=sha256, content_type="application/zip")
        try:
            await attempt.report()
        except ClaimLost:
            await self._withdraw(attempt.job)
            raise
        await self._delete_older(attempt.job)

    async def give_up(self, job: Job, error: JobError) -> None:
        """Nothing was stored, so nothing is to be done."""

    async def _withdraw(self, job: Job) -> None:
        """If the owner has left meanwhile, nobody else removes what was just stored."""
        if await self._jobs.find(User(job.owner_id), job.id) is None:
            await self._store.delete([job.export_key])

    async def _delete_older(self, job: Job) -> None:
        """One file for each owner: it may be as large as everything else of theirs."""
        folder = f"{EXPORTS_PREFIX}{job.owner_id}/"
        await self._store.delete([old.key async for old in self._store.walk(folder) if old.key < job.export_key])

    async def _write(self, attempt: Attempt, file: BinaryIO) -> None:
        usage = await self._images.usage(attempt.job.owner_id)
        await self._spool.require_room(int(usage.bytes * _ROOM_SHARE))
        # Two files, since one ZIP file takes one member at a time, and a list of all images may be long.
        # What writes unbuffered may write less than it was given, which zipfile does not look at.
        buffered = io.BufferedRandom(cast("io.RawIOBase", file))
        try:
            async with self._spool.file() as listing:
                with zipfile.ZipFile(buffered, "w") as archive:
                    await self._write_images(attempt, archive, listing, images=max(1, usage.images))
                    await on_disk(_add, archive, listing, "metadata.json", self._jobs.clock())
                    await on_disk(archive.close)
        finally:
            await on_disk(buffered.detach)

    async def _write_images(
        self, attempt: Attempt, archive: zipfile.ZipFile, listing: BinaryIO, *, images: int
    ) -> None:
        await on_disk(listing.write, b'{"images": [')
        written = 0
        async for image in self._images.walk(attempt.job.owner_id):
            name = f"images/{image.id}{PurePosixPath(image.original_key).suffix}"
            if await self._write_original(archive, image, name):
                line = json.dumps(_describe(image, name)).encode()
                await on_disk(listing.write, b",\n" + line if written else b"\n" + line)
                written += 1
            progress = min(_WRITTEN, _WRITTEN * written // images)
            if progress > attempt.job.progress:
                await attempt.report(progress=progress)
        await on_disk(listing.write, b"\n]}\n")

    async def _write_original(self, archive: zipfile.ZipFile, image: Image, name: str) -> bool:
        async with self._spool.file() as original:
            try:
                await self._store.fetch(image.original_key, original, max_bytes=image.size)
            except ObjectMissing:
                return False  # deleted since the list was read
            await on_disk(_add, archive, original, name, image.uploaded_at)
        return True


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
