"""What a user does with the images that are there: list, show, rename, download, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from app.core import filenames
from app.core.clock import Clock
from app.core.errors import AppError, ImageMissing, ThumbnailMissing
from app.core.ids import is_id
from app.core.models import Image, Quota, SignedUrl, Thumbnail, Usage, User
from app.core.ports import ImageTable, ObjectStore
from app.usecases.cursors import Cursors
from app.usecases.deletions import Deletions
from app.usecases.sidecars import rewrite_sidecar

_DELETES_AT_ONCE = 8

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
        deletions: Deletions,
        quota: Quota,
        cursors: Cursors,
        clock: Clock,
    ) -> None:
        self.quota = quota
        self._store = store
        self._images = images
        self._deletions = deletions
        self._cursors = cursors
        self._clock = clock

    async def page(self, user: User, *, cursor: str | None, limit: int) -> ImagePage:
        """Return `limit` images, newest first. Raises CursorInvalid, for another user's cursor too."""
        before = self._cursors.open(user, cursor)
        images = await self._images.page(user.id, before=before, limit=limit + 1)
        if len(images) <= limit:
            return ImagePage(images, None)
        return ImagePage(images[:limit], self._cursors.make(user, images[limit - 1].id))

    async def get(self, user: User, image_id: str) -> Image:
        """Raises ImageMissing, for another user's image too."""
        if not is_id(image_id):
            raise ImageMissing
        return await self._images.get(user.id, image_id)

    async def newest_of_product(self, user: User, ean: str) -> Image:
        """Return the newest image that was fetched for `ean`, normalised. Raises ImageMissing."""
        return await self._images.newest_of_product(user.id, ean)

    async def find(self, user: User, image_id: str) -> Image | None:
        try:
            return await self.get(user, image_id)
        except ImageMissing:
            return None

    async def thumbnail(self, user: User, image_id: str, size: int) -> tuple[Image, Thumbnail]:
        """Raises ImageMissing or ThumbnailMissing."""
        image = await self.get(user, image_id)
        found = next((t for t in image.thumbnails if t.size == size), None)
        if found is None:
            raise ThumbnailMissing
        return image, found

    async def edit(self, user: User, image_id: str, *, changes: dict[str, str | None]) -> Image:
        """Set `filename` or `description`, whichever `changes` names, in the record and in its sidecar.

        Raises ImageMissing. Where it raises DependencyUnavailable the record may have changed; repeating it is safe.
        """
        if not is_id(image_id):
            raise ImageMissing
        if "filename" in changes:
            changes = {**changes, "filename": filenames.clean(changes["filename"])}
        image = await self._images.edit(user.id, image_id, changes=changes)
        if changes:
            await rewrite_sidecar(self._store, self._images, image)
        return image

    async def download_url(self, user: User, image_id: str) -> SignedUrl:
        """Return a URL that saves the original under its filename. Raises ImageMissing."""
        image = await self.get(user, image_id)
        return await self._store.sign_url(image.original_key, filename=image.filename)

    async def delete(self, user: User, image_id: str) -> None:
        """Remove the image; when this returns nobody can ask for it any more. Raises ImageMissing.

        A tombstone is written with the removal of the record. What a crash, or a store that does not answer, leaves of
        the image's objects is deleted by the workers, which look for open tombstones.
        """
        if not is_id(image_id):
            raise ImageMissing
        deleted_at = self._clock()
        image = await self._images.remove(user.id, image_id, deleted_at=deleted_at)
        await self._deletions.delete_objects(image, deleted_at=deleted_at)
        _log.info("image.deleted", image_id=image_id)

    async def delete_many(self, user: User, image_ids: Sequence[str]) -> dict[str, str]:
        """Return `deleted` or an error's code for each id."""
        places = asyncio.Semaphore(_DELETES_AT_ONCE)

        async def delete_one(image_id: str) -> str:
            async with places:
                try:
                    await self.delete(user, image_id)
                except AppError as error:
                    return error.code
                return "deleted"

        ids = list(dict.fromkeys(image_ids))
        return dict(zip(ids, await asyncio.gather(*map(delete_one, ids)), strict=True))

    async def usage(self, user: User) -> Usage:
        return await self._images.usage(user.id)
