"""What users do with their images: list, show, edit, download, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from app.common.object_deletion import ObjectDeletion
from app.common.pagination import Cursors
from app.common.sidecars import rewrite_sidecar
from app.common.webhook_events import WebhookEvents
from app.domain import filenames
from app.domain.accounts import User
from app.domain.errors import AppError, ImageMissing, ImagePending, ThumbnailMissing
from app.domain.ids import is_id
from app.domain.images import Image, ImageChanges, Quota, Thumbnail, Usage
from app.domain.objects import SignedUrl
from app.ports.clock import Clock
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable

_CONCURRENT_DELETES = 8

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ImagePage:
    items: Sequence[Image]
    next_cursor: str | None


class Library:
    def __init__(
        self,
        *,
        store: ObjectStore,
        images: ImageTable,
        deletion: ObjectDeletion,
        events: WebhookEvents,
        quota: Quota,
        cursors: Cursors,
        clock: Clock,
    ) -> None:
        self.quota = quota
        self._store = store
        self._images = images
        self._deletion = deletion
        self._events = events
        self._cursors = cursors
        self._clock = clock

    async def page(self, user: User, *, cursor: str | None, limit: int) -> ImagePage:
        """Return at most `limit` images, newest first. Raises CursorInvalid, also for another user's cursor."""
        before = self._cursors.decode(user, cursor)
        images = await self._images.page(user.id, before=before, limit=limit + 1)
        if len(images) <= limit:
            return ImagePage(images, None)
        return ImagePage(images[:limit], self._cursors.encode(user, images[limit - 1].id))

    async def get(self, user: User, image_id: str) -> Image:
        """Raises ImageMissing, also for another user's image."""
        if not is_id(image_id):
            raise ImageMissing
        return await self._images.get(user.id, image_id)

    async def get_newest_of_product(self, user: User, ean: str) -> Image:
        """Return the newest image that was fetched for a normalized EAN. Raises ImageMissing."""
        return await self._images.get_newest_of_product(user.id, ean)

    async def find(self, user: User, image_id: str) -> Image | None:
        try:
            return await self.get(user, image_id)
        except ImageMissing:
            return None

    async def get_thumbnail(self, user: User, image_id: str, size: int) -> tuple[Image, Thumbnail]:
        """Raises ImageMissing, ImagePending or ThumbnailMissing."""
        image = await self.get_ready(user, image_id)
        found = next((t for t in image.thumbnails if t.size == size), None)
        if found is None:
            raise ThumbnailMissing
        return image, found

    async def edit(self, user: User, image_id: str, *, changes: ImageChanges) -> Image:
        """Set `filename`, `description`, `focal_point` (`x` and `y`), `custom_metadata` or several of them.

        They are set in the record and its sidecar.

        Raises ImageMissing. After DependencyUnavailable the record may have been changed; repeating the edit is safe.
        """
        if not is_id(image_id):
            raise ImageMissing
        if "filename" in changes:
            changes = {**changes, "filename": filenames.clean_title(str(changes["filename"] or ""))}
        image = await self._images.edit(user.id, image_id, changes=changes)
        if changes:
            await rewrite_sidecar(self._store, self._images, image)
        return image

    async def download_url(self, user: User, image_id: str) -> SignedUrl:
        """Return a URL that downloads the original under its filename, with an extension of its format.

        Raises ImageMissing and ImagePending.
        """
        image = await self.get_ready(user, image_id)
        filename = filenames.with_extension(image.filename, image.content_type)
        return await self._store.sign_url(image.original_key, filename=filename)

    async def delete(self, user: User, image_id: str) -> None:
        """Delete the image. When this returns, no request can access it. Raises ImageMissing.

        Removing the record also writes a tombstone. If the objects cannot be deleted now, the workers find the open
        tombstone and delete them later.
        """
        if not is_id(image_id):
            raise ImageMissing
        deleted_at = self._clock()
        events = await self._events.of_deletion(user.id, image_id)
        image = await self._images.remove(user.id, image_id, deleted_at=deleted_at, events=events)
        await self._deletion.delete_objects(image, deleted_at=deleted_at)
        _log.info("image.deleted", image_id=image_id)

    async def delete_many(self, user: User, image_ids: Sequence[str]) -> dict[str, str]:
        """Return `deleted` or an error code for each id."""
        slots = asyncio.Semaphore(_CONCURRENT_DELETES)

        async def delete_one(image_id: str) -> str:
            async with slots:
                try:
                    await self.delete(user, image_id)
                except AppError as error:
                    return error.code
                return "deleted"

        ids = list(dict.fromkeys(image_ids))
        return dict(zip(ids, await asyncio.gather(*map(delete_one, ids)), strict=True))

    async def get_ready(self, user: User, image_id: str) -> Image:
        """Raises ImageMissing and ImagePending."""
        image = await self.get(user, image_id)
        if image.is_pending:
            raise ImagePending
        return image

    async def usage(self, user: User) -> Usage:
        return await self._images.usage(user.id)
