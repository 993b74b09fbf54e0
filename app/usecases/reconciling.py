"""Brings objects and records back in step after a crash: each leftover is found, cleared and told of."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from app.core.errors import ImageMissing
from app.core.ids import is_id, made_at
from app.core.models import EXPORTS_PREFIX, IMAGES_PREFIX, INCOMING_PREFIX, Image, Thumbnail, ThumbnailStatus
from app.core.ports import ImageTable, ObjectStore
from app.usecases import exports

KEPT = {INCOMING_PREFIX: timedelta(days=1), EXPORTS_PREFIX: exports.KEPT}
"""The lifecycle rules of infra/template.yaml do the same on S3."""
_LOST_SHARE = 0.1
_LOST_FLOOR = 10
"""More lost originals than both of these are no crash but the wrong bucket: no record is removed then."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Findings:
    """What one run saw and did."""

    images: int = 0
    objects: int = 0
    orphans_deleted: int = 0
    """Objects that no record speaks of: of an upload or a delete that died on its way."""
    records_removed: int = 0
    """Records whose original was gone."""
    thumbnails_failed: int = 0
    """Thumbnails that were gone, now marked `failed`."""
    unsettled: int = 0
    """Objects without a record, too young to tell from an upload that is under way: left alone."""
    expired_deleted: int = 0
    """Direct uploads that were sent and never completed, and exports that are a week old."""
    records_kept: int = 0
    """Records without an original, kept because they were too many: the store is likely the wrong one."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """The objects under one image's prefix."""

    owner_id: str
    image_id: str
    keys: frozenset[str]


class Reconciler:
    def __init__(self, *, store: ObjectStore, images: ImageTable) -> None:
        self._store = store
        self._images = images

    async def run(self, *, settled_before: datetime) -> Findings:
        """Walk objects and records once, side by side and in bounded memory; safe beside a running service.

        Images whose ids were made at or after `settled_before` may still be on their way in.
        """
        run = _Run(self._store, self._images, settled_before)
        await run.compare()
        await run.remove_lost()
        await run.sweep_expired()
        _log.info("reconcile.finished", **dataclasses.asdict(run.findings))
        return run.findings


class _Run:
    def __init__(self, store: ObjectStore, images: ImageTable, settled_before: datetime) -> None:
        self._store = store
        self._images = images
        self._settled_before = settled_before
        self._lost: list[Image] = []
        self.findings = Findings()

    async def compare(self) -> None:
        """Merge the two walks: within an owner both are in the order of image ids."""
        owners: set[str] = set()
        records = _Records(_nothing())
        async for folder in self._folders():
            if folder.owner_id not in owners:
                await self._check_records(records, below=None)
                owners.add(folder.owner_id)
                records = _Records(self._images.walk(folder.owner_id))
            await self._check_records(records, below=folder.image_id)
            image = await records.peek()
            if image is not None and image.id == folder.image_id:
                records.take()
                await self._check_image(image, folder.keys)
            else:
                await self._check_orphan(folder)
        await self._check_records(records, below=None)
        async for owner_id in self._images.owners():
            if owner_id not in owners:
                await self._check_records(_Records(self._images.walk(owner_id)), below=None)

    async def remove_lost(self) -> None:
        """Remove the records that cannot be shown any more, unless there are suspiciously many."""
        if len(self._lost) > max(_LOST_FLOOR, self.findings.images * _LOST_SHARE):
            self.findings.records_kept = len(self._lost)
            return
        for image in self._lost:
            try:
                await self._images.remove(image.owner_id, image.id)
            except ImageMissing:
                continue
            self.findings.records_removed += 1
            _log.warning("reconcile.record_removed", image_id=image.id, owner_id=image.owner_id)
            await self._store.delete(image.object_keys)

    async def sweep_expired(self) -> None:
        """Delete what is kept for a while only: it is named by an id, which says how old it is."""
        for prefix, kept in KEPT.items():
            over = datetime.now(UTC) - kept
            async for stored in self._store.walk(prefix):
                made_by = stored.key.rpartition("/")[2].removesuffix(".zip")
                if is_id(made_by) and made_at(made_by) < over:
                    await self._store.delete([stored.key])
                    self.findings.expired_deleted += 1

    async def _folders(self) -> AsyncIterator[_Folder]:
        """Yield each image's objects together; what does not look like one of them is not ours to judge."""
        folder: tuple[str, str] | None = None
        keys: list[str] = []
        async for stored in self._store.walk(IMAGES_PREFIX):
            _, *parts = stored.key.split("/")
            if len(parts) != 3 or not is_id(parts[1]):  # noqa: PLR2004 - owner, image and name
                continue
            self.findings.objects += 1
            if folder != (parts[0], parts[1]):
                if folder:
                    yield _Folder(*folder, frozenset(keys))
                folder, keys = (parts[0], parts[1]), []
            keys.append(stored.key)
        if folder:
            yield _Folder(*folder, frozenset(keys))

    async def _check_records(self, records: _Records, *, below: str | None) -> None:
        """Check those whose turn comes before the image `below`: the walk met no object of theirs."""
        while (image := await records.peek()) is not None and (below is None or image.id < below):
            records.take()
            await self._check_image(image, frozenset())

    async def _check_image(self, image: Image, keys: frozenset[str]) -> None:
        self.findings.images += 1
        # An object that the walk did not meet may have been put since: only a look at the object itself decides.
        missing = {key for key in image.object_keys if key not in keys and await self._store.size(key) is None}
        if image.original_key in missing:
            self._lost.append(image)
        elif missing:
            await self._fail_thumbnails(image, missing)
        if all(thumbnail.status is ThumbnailStatus.READY for thumbnail in image.thumbnails):
            await self._delete_orphans(image.id, keys - set(image.object_keys))

    async def _check_orphan(self, folder: _Folder) -> None:
        if made_at(folder.image_id) >= self._settled_before:
            self.findings.unsettled += len(folder.keys)
            return
        try:
            await self._images.get(folder.owner_id, folder.image_id)
        except ImageMissing:
            await self._delete_orphans(folder.image_id, folder.keys)

    async def _delete_orphans(self, image_id: str, keys: frozenset[str]) -> None:
        if keys:
            await self._store.delete(keys)
            self.findings.orphans_deleted += len(keys)
            _log.info("reconcile.orphans_deleted", image_id=image_id, objects=len(keys))

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
            await self._images.replace(dataclasses.replace(image, thumbnails=thumbnails))
        except ImageMissing:
            return
        self.findings.thumbnails_failed += len(missing)
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
