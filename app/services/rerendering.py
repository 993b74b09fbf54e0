"""Completes older images: thumbnails after THUMBNAIL_SIZES was changed, and the timeline after an upgrade."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Collection, Sequence

from app.common.batches import for_each_batch
from app.common.temp_files import TempFiles
from app.domain.errors import ImageMissing
from app.domain.images import Image
from app.ports.renderer import Renderer
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable
from app.ports.timeline_table import TimelineTable
from app.services.originals import fetch_original
from app.services.rendered_thumbnails import put_thumbnails, ready_thumbnail

_IMAGES_PER_BATCH = 100


class Rerendering:
    def __init__(
        self,
        *,
        store: ObjectStore,
        images: ImageTable,
        timeline: TimelineTable,
        renderer: Renderer,
        temp_files: TempFiles,
        sizes: Collection[int],
    ) -> None:
        """`sizes` are those that `renderer` makes."""
        self._store = store
        self._images = images
        self._timeline = timeline
        self._renderer = renderer
        self._temp_files = temp_files
        self._sizes = frozenset(sizes)

    async def images(self) -> AsyncIterator[Image]:
        """Yield the images of all users."""
        async for owner_id in self._images.owners():
            async for image in self._images.walk(owner_id):
                yield image

    async def complete_timeline(self) -> tuple[int, int]:
        """Add to the timeline the images that it lacks, and remove those that were deleted. Returns both numbers.

        Only earlier versions of the service leave such images. Raises DependencyUnavailable; it can be repeated.
        """
        added = 0

        async def add(batch: Sequence[Image]) -> None:
            nonlocal added
            added += await self._timeline.add_missing(batch)

        await for_each_batch(self.images(), add, size=_IMAGES_PER_BATCH, concurrency=1)
        return added, await self._timeline.remove_stale()

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
