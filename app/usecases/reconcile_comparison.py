"""The walk of a reconcile run over objects and records, which notes what has no counterpart."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.core.errors import ImageMissing
from app.core.ids import is_id
from app.core.models import IMAGES_PREFIX, Image, StoredObject, Thumbnail, ThumbnailStatus
from app.usecases.reconcile_findings import Findings, Ports, find_record, find_unreferenced, last_parts
from app.usecases.sidecars import rewrite_sidecar

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Folder:
    """The objects under one image's prefix."""

    owner_id: str
    image_id: str
    keys: frozenset[str]
    modified_at: datetime
    """Of the newest."""

    @property
    def names(self) -> frozenset[str]:
        return last_parts(self.keys)


class Comparison:
    def __init__(self, ports: Ports, findings: Findings, *, now: datetime) -> None:
        self._ports = ports
        self._findings = findings
        self._now = now

    async def run(self) -> None:
        """Merge the two walks: within an owner both are in the order of image ids."""
        owners: set[str] = set()
        records = _Records(_nothing())
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
        """Yield each image's objects together; what does not look like one of them is not ours to judge."""
        at: tuple[str, str] | None = None
        found: list[StoredObject] = []
        async for stored in self._ports.store.walk(IMAGES_PREFIX):
            _, *parts = stored.key.split("/")
            if len(parts) != 3 or not is_id(parts[1]):  # noqa: PLR2004 - owner, image and name
                continue
            self._findings.objects += 1
            if at != (parts[0], parts[1]):
                if at:
                    yield _folder(at, found)
                at, found = (parts[0], parts[1]), []
            found.append(stored)
        if at:
            yield _folder(at, found)

    async def _check_records(self, records: _Records, *, below: str | None) -> None:
        """Check the records that come before the image `below`: the walk met no object of theirs."""
        while (image := await records.peek()) is not None and (below is None or image.id < below):
            records.take()
            await self._check_image(image, frozenset())

    async def _check_image(self, image: Image, keys: frozenset[str]) -> None:
        self._findings.images += 1
        # An object that the walk did not meet may have been put since: only a look at the object itself decides.
        missing = {key for key in image.object_keys if key not in keys and await self._ports.store.size(key) is None}
        if image.original_key in missing:
            await self._ports.table.note_lost(image.owner_id, image.id, at=self._now)
            return
        if image.sidecar_key in missing:
            missing.remove(image.sidecar_key)
            await rewrite_sidecar(self._ports.store, self._ports.images, image)
            self._findings.sidecars_written += 1
        if missing:
            await self._fail_thumbnails(image, missing)
        if extra := find_unreferenced(image, keys):
            await self._ports.table.note_unreferenced(image.owner_id, image.id, last_parts(extra), at=self._now)

    async def _check_orphan(self, folder: _Folder) -> None:
        if await find_record(self._ports.images, folder.owner_id, folder.image_id):
            return  # added since the walk passed
        if tombstone := await self._ports.tombstones.find_tombstone(folder.owner_id, folder.image_id):
            self._findings.deleted_finished += await self._ports.deletions.finish_one(tombstone)
            return
        owner_deleted_at = await self._ports.owners.deleted_at(folder.owner_id)
        if owner_deleted_at and folder.modified_at <= owner_deleted_at:
            await self._ports.store.delete(folder.keys)
            self._findings.deleted_finished += len(folder.keys)
            return
        await self._ports.table.note_unreferenced(folder.owner_id, folder.image_id, folder.names, at=self._now)

    async def _fail_thumbnails(self, image: Image, missing: set[str]) -> None:
        def checked(thumbnail: Thumbnail) -> Thumbnail:
            if thumbnail.status is not ThumbnailStatus.READY or image.thumbnail_key(thumbnail) not in missing:
                return thumbnail
            return Thumbnail(
                thumbnail.size,
                ThumbnailStatus.FAILED,
                reason="The thumbnail's file is gone.",
                attempts=thumbnail.attempts,
            )

        thumbnails = tuple(map(checked, image.thumbnails))
        try:
            await self._ports.images.replace(dataclasses.replace(image, thumbnails=thumbnails))
        except ImageMissing:
            return
        self._findings.thumbnails_failed += len(missing)
        _log.warning("reconcile.thumbnails_failed", image_id=image.id, thumbnails=len(missing))


class _Records:
    """A walk over one owner's images that can be looked ahead into by one."""

    def __init__(self, images: AsyncIterator[Image]) -> None:
        self._images = images
        self._next: Image | None = None

    async def peek(self) -> Image | None:
        if self._next is None:
            self._next = await anext(self._images, None)
        return self._next

    def take(self) -> None:
        self._next = None


async def _nothing() -> AsyncIterator[Image]:
    no_images: tuple[Image, ...] = ()
    for image in no_images:
        yield image


def _folder(at: tuple[str, str], found: list[StoredObject]) -> _Folder:
    keys = frozenset(stored.key for stored in found)
    return _Folder(*at, keys, max(stored.modified_at for stored in found))
