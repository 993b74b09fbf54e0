"""The first steps of a reconcile run: walk objects and records, and record each discrepancy between them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.common.sidecars import rewrite_sidecar
from app.consistency.key_ranges import owner_at
from app.consistency.ports import ReconcilePorts, find_record, find_unreferenced, last_parts
from app.consistency.slices import Slice
from app.domain.errors import ImageMissing
from app.domain.ids import is_id
from app.domain.images import Image, Thumbnail, ThumbnailStatus
from app.domain.object_keys import IMAGES_PREFIX, image_folder
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
    def position(self) -> str:
        return image_folder(self.owner_id, self.image_id)

    @property
    def names(self) -> frozenset[str]:
        return last_parts(self.keys)


class Comparison:
    """A position is compared with the folders of images: `images/ada/0198…/` is behind `images/ada/01`."""

    def __init__(self, ports: ReconcilePorts) -> None:
        self._ports = ports

    async def compare(self, work: Slice) -> None:
        """Compare the objects from `after` to the position that is the segment's name, with their owners' records."""
        async for position, image, folder in self._merge(work.after, work.segment.name):
            if image:
                await self.check_image(image, folder.keys if folder else frozenset(), work)
            elif folder:
                await self._check_orphan(folder, work)
            work.report.objects += len(folder.keys) if folder else 0
            work.after = position
            if work.is_over:
                return
        work.done = True

    async def _merge(self, after: str, until: str) -> AsyncIterator[tuple[str, Image | None, _Folder | None]]:
        """Merge the two walks, and yield each image with its position, its record and its objects, or one of the two.

        Both walks are in the order of positions. Owners without any object are left out.
        """
        start, end = owner_at(after), owner_at(until)
        # Records behind the last object of an owner would otherwise be in no range that contains an object of theirs.
        owner_id = start[0] if start else None
        records = self._records(owner_id, after, until)
        async for folder in self._folders(after, until):
            if folder.owner_id != owner_id:
                async for image in records.before(None):
                    yield image_folder(image.owner_id, image.id), image, None
                owner_id = folder.owner_id
                records = self._records(owner_id, after, until)
            async for image in records.before(folder.image_id):
                yield image_folder(image.owner_id, image.id), image, None
            yield folder.position, await records.take(folder.image_id), folder
        async for image in records.before(None):
            yield image_folder(image.owner_id, image.id), image, None
        if end and end[0] != owner_id:
            async for image in self._records(end[0], after, until).before(None):
                yield image_folder(image.owner_id, image.id), image, None

    def _records(self, owner_id: str | None, after: str, until: str) -> _Records:
        return _Records(_no_images() if owner_id is None else self._images_between(owner_id, after, until))

    async def _images_between(self, owner_id: str, after: str, until: str) -> AsyncIterator[Image]:
        start = owner_at(after)
        after_id = start[1] if start and start[0] == owner_id else ""
        async for image in self._ports.images.walk(owner_id, after=after_id):
            if image_folder(owner_id, image.id) > until:
                return
            yield image

    async def _folders(self, after: str, until: str) -> AsyncIterator[_Folder]:
        """Yield the objects of each image together. Objects whose key has another form are ignored."""
        at: tuple[str, str] | None = None
        found: list[StoredObject] = []
        async for stored in self._ports.store.walk(IMAGES_PREFIX, after=after):
            _, *parts = stored.key.split("/")
            if len(parts) != 3 or not is_id(parts[1]):  # noqa: PLR2004 - owner, image and name
                continue
            folder = image_folder(parts[0], parts[1])
            if folder <= after:
                continue
            if folder > until:
                break
            if at != (parts[0], parts[1]):
                if at:
                    yield _folder(at, found)
                at, found = (parts[0], parts[1]), []
            found.append(stored)
        if at:
            yield _folder(at, found)

    async def check_image(self, image: Image, keys: frozenset[str], work: Slice) -> None:
        work.report.images += 1
        # The object may have been stored after the walk passed its key, so each one is checked again.
        missing = await self._missing([key for key in image.object_keys if key not in keys])
        if image.original_key in missing:
            await self._ports.table.note_lost(image.owner_id, image.id, at=work.now)
            return
        if image.sidecar_key in missing:
            missing.remove(image.sidecar_key)
            await rewrite_sidecar(self._ports.store, self._ports.images, image)
            work.report.sidecars_written += 1
        if missing:
            work.report.thumbnails_failed += await self._fail_thumbnails(image, missing)
        if extra := find_unreferenced(image, keys):
            await self._ports.table.note_unreferenced(image.owner_id, image.id, last_parts(extra), at=work.now)

    async def _missing(self, keys: list[str]) -> set[str]:
        sizes = await asyncio.gather(*map(self._ports.store.size, keys))
        return {key for key, size in zip(keys, sizes, strict=True) if size is None}

    async def _check_orphan(self, folder: _Folder, work: Slice) -> None:
        if await find_record(self._ports.images, folder.owner_id, folder.image_id):
            return  # The record was added after the walk passed it.
        if tombstone := await self._ports.tombstones.find_tombstone(folder.owner_id, folder.image_id):
            work.report.deleted_finished += await self._ports.deletion.finish_one(tombstone)
            return
        owner_deleted_at = await self._ports.owners.deleted_at(folder.owner_id)
        if owner_deleted_at and folder.modified_at <= owner_deleted_at:
            await self._ports.store.delete(folder.keys)
            work.report.deleted_finished += len(folder.keys)
            return
        await self._ports.table.note_unreferenced(folder.owner_id, folder.image_id, folder.names, at=work.now)

    async def _fail_thumbnails(self, image: Image, missing: set[str]) -> int:
        """Return how many thumbnails were marked."""

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
            return 0
        _log.warning("reconcile.thumbnails_failed", image_id=image.id, thumbnails=len(missing))
        return len(missing)


class _Records:
    """Iterates over the images of one owner, with a lookahead of one image."""

    def __init__(self, images: AsyncIterator[Image]) -> None:
        self._images = images
        self._next: Image | None = None

    async def before(self, image_id: str | None) -> AsyncIterator[Image]:
        """Yield the images before this one, or all that remain."""
        while (image := await self._peek()) is not None and (image_id is None or image.id < image_id):
            self._next = None
            yield image

    async def take(self, image_id: str) -> Image | None:
        """Return the image with this id if it is the next one."""
        image = await self._peek()
        if image is None or image.id != image_id:
            return None
        self._next = None
        return image

    async def _peek(self) -> Image | None:
        if self._next is None:
            self._next = await anext(self._images, None)
        return self._next


async def _no_images() -> AsyncIterator[Image]:
    no_images: tuple[Image, ...] = ()
    for image in no_images:
        yield image


def _folder(at: tuple[str, str], found: list[StoredObject]) -> _Folder:
    keys = frozenset(stored.key for stored in found)
    return _Folder(*at, keys, max(stored.modified_at for stored in found))
