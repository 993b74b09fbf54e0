"""The first step of a reconcile run: walks objects and records, and records each discrepancy between them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.common.sidecars import rewrite_sidecar
from app.consistency.ports import ReconcilePorts, find_record, find_unreferenced, last_parts
from app.consistency.report import ReconcileReport
from app.domain.errors import ImageMissing
from app.domain.ids import is_id
from app.domain.images import Image, Thumbnail, ThumbnailStatus
from app.domain.object_keys import IMAGES_PREFIX
from app.domain.objects import StoredObject

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Folder:
    """The objects under one image's prefix."""

    owner_id: str
    image_id: str
    keys: frozenset[str]
    modified_at: datetime
    """The time of the newest object."""

    @property
    def names(self) -> frozenset[str]:
        return last_parts(self.keys)


class Comparison:
    def __init__(self, ports: ReconcilePorts, report: ReconcileReport, *, now: datetime) -> None:
        self._ports = ports
        self._report = report
        self._now = now

    async def run(self) -> None:
        """Merge the two walks. Within an owner, both are ordered by image id."""
        owners: set[str] = set()
        records = _Records(_no_images())
        async for folder in self._folders():
            if folder.owner_id not in owners:
                await self._check_records(records, below=None)
                owners.add(folder.owner_id)
                records = _Records(self._ports.images.walk(folder.owner_id))
            await self._check_records(records, below=folder.image_id)
            image = await records.peek()
            if image is not None and image.id == folder.image_id:
                records.take()
                await self._check_image(image, folder.keys)
            else:
                await self._check_orphan(folder)
        await self._check_records(records, below=None)
        async for owner_id in self._ports.images.owners():
            if owner_id not in owners:
                await self._check_records(_Records(self._ports.images.walk(owner_id)), below=None)

    async def _folders(self) -> AsyncIterator[_Folder]:
        """Yield the objects of each image together. Objects whose key has another form are ignored."""
        at: tuple[str, str] | None = None
        found: list[StoredObject] = []
        async for stored in self._ports.store.walk(IMAGES_PREFIX):
            _, *parts = stored.key.split("/")
            if len(parts) != 3 or not is_id(parts[1]):  # noqa: PLR2004 - owner, image and name
                continue
            self._report.objects += 1
            if at != (parts[0], parts[1]):
                if at:
                    yield _folder(at, found)
                at, found = (parts[0], parts[1]), []
            found.append(stored)
        if at:
            yield _folder(at, found)

    async def _check_records(self, records: _Records, *, below: str | None) -> None:
        """Check the records before the image `below`, for which the walk found no objects."""
        while (image := await records.peek()) is not None and (below is None or image.id < below):
            records.take()
            await self._check_image(image, frozenset())

    async def _check_image(self, image: Image, keys: frozenset[str]) -> None:
        self._report.images += 1
        # The object may have been stored after the walk passed its key, so each one is checked again.
        missing = {key for key in image.object_keys if key not in keys and await self._ports.store.size(key) is None}
        if image.original_key in missing:
            await self._ports.table.note_lost(image.owner_id, image.id, at=self._now)
            return
        if image.sidecar_key in missing:
            missing.remove(image.sidecar_key)
            await rewrite_sidecar(self._ports.store, self._ports.images, image)
            self._report.sidecars_written += 1
        if missing:
            await self._fail_thumbnails(image, missing)
        if extra := find_unreferenced(image, keys):
            await self._ports.table.note_unreferenced(image.owner_id, image.id, last_parts(extra), at=self._now)

    async def _check_orphan(self, folder: _Folder) -> None:
        if await find_record(self._ports.images, folder.owner_id, folder.image_id):
            return  # The record was added after the walk passed it.
        if tombstone := await self._ports.tombstones.find_tombstone(folder.owner_id, folder.image_id):
            self._report.deleted_finished += await self._ports.deletion.finish_one(tombstone)
            return
        owner_deleted_at = await self._ports.owners.deleted_at(folder.owner_id)
        if owner_deleted_at and folder.modified_at <= owner_deleted_at:
            await self._ports.store.delete(folder.keys)
            self._report.deleted_finished += len(folder.keys)
            return
        await self._ports.table.note_unreferenced(folder.owner_id, folder.image_id, folder.names, at=self._now)

    async def _fail_thumbnails(self, image: Image, missing: set[str]) -> None:
        def checked(thumbnail: Thumbnail) -> Thumbnail:
            if thumbnail.status is not ThumbnailStatus.READY or image.thumbnail_key(thumbnail) not in missing:
                return thumbnail
            return Thumbnail(
                thumbnail.size,
                ThumbnailStatus.FAILED,
                reason="The thumbnail's file is missing.",
                attempts=thumbnail.attempts,
            )

        thumbnails = tuple(map(checked, image.thumbnails))
        try:
            await self._ports.images.update_thumbnails(dataclasses.replace(image, thumbnails=thumbnails))
        except ImageMissing:
            return
        self._report.thumbnails_failed += len(missing)
        _log.warning("reconcile.thumbnails_failed", image_id=image.id, thumbnails=len(missing))


class _Records:
    """Iterates over the images of one owner, with a lookahead of one image."""

    def __init__(self, images: AsyncIterator[Image]) -> None:
        self._images = images
        self._next: Image | None = None

    async def peek(self) -> Image | None:
        if self._next is None:
            self._next = await anext(self._images, None)
        return self._next

    def take(self) -> None:
        self._next = None


async def _no_images() -> AsyncIterator[Image]:
    no_images: tuple[Image, ...] = ()
    for image in no_images:
        yield image


def _folder(at: tuple[str, str], found: list[StoredObject]) -> _Folder:
    keys = frozenset(stored.key for stored in found)
    return _Folder(*at, keys, max(stored.modified_at for stored in found))
