"""Renders the thumbnails that older images lack after THUMBNAIL_SIZES was changed."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Collection

from app.common.temp_files import TempFiles
from app.domain.errors import ImageMissing
from app.domain.images import Image
from app.ports.renderer import Renderer
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable
from app.services.originals import fetch_original
from app.services.rendered_thumbnails import put_thumbnails, ready_thumbnail


class Rerendering:
    def __init__(
        self,
        *,
        store: ObjectStore,
        images: ImageTable,
        renderer: Renderer,
        temp_files: TempFiles,
        sizes: Collection[int],
    ) -> None:
        """`sizes` are those that `renderer` makes."""
        self._store = store
        self._images = images
        self._renderer = renderer
        self._temp_files = temp_files
        self._sizes = frozenset(sizes)

    async def images(self) -> AsyncIterator[Image]:
        """Yield the images of all users."""
        async for owner_id in self._images.owners():
            async for image in self._images.walk(owner_id):
                yield image

    def lacks_sizes(self, image: Image) -> bool:
        """Return whether a size is missing. If thumbnails are pending, their job renders all sizes."""
        has = {thumbnail.size for thumbnail in image.thumbnails}
        return not image.has_pending_thumbnails and not self._sizes <= has

    async def render(self, image: Image) -> None:
        """Render all sizes and add them to the record. Thumbnails of other sizes are kept.

        An image that was deleted in the meantime is ignored. Raises what `Renderer.render` raises, ObjectMissing if the
        image has no original, and DependencyUnavailable.
        """
        async with self._temp_files.file() as file:
            await fetch_original(self._store, image.original_key, file, max_bytes=image.size)
            rendering = await self._renderer.render(file)
        rendered = tuple(map(ready_thumbnail, rendering.thumbnails))
        stored = dataclasses.replace(image, thumbnails=rendered)
        await put_thumbnails(self._store, stored, rendering)
        await self._store.make_durable(stored.object_keys)
        kept = tuple(thumbnail for thumbnail in image.thumbnails if thumbnail.size not in self._sizes)
        changed = dataclasses.replace(image, thumbnails=kept + rendered)
        try:
            await self._images.update_thumbnails(changed)
        except ImageMissing:
            # The image was deleted before its record listed these thumbnails, so they must be deleted here.
            await self._store.delete(changed.object_keys)
