"""Makes records and objects of rendered thumbnails."""

from __future__ import annotations

from app.common.gathering import gather_all
from app.domain.images import Image, Thumbnail, ThumbnailStatus
from app.domain.renderings import RenderedThumbnail, Rendering
from app.ports.storage import ObjectStore


async def put_thumbnails(store: ObjectStore, image: Image, rendering: Rendering) -> None:
    """Store the thumbnails under the keys of those of the image. `ObjectStore.make_durable` has to follow."""
    pairs = zip(image.thumbnails, rendering.thumbnails, strict=True)
    puts = {image.thumbnail_key(thumbnail): rendered for thumbnail, rendered in pairs}
    await gather_all(*(store.put(key, r.data, content_type=r.content_type, durable=False) for key, r in puts.items()))


def ready_thumbnail(rendered: RenderedThumbnail, *, attempts: int = 1) -> Thumbnail:
    return Thumbnail(
        size=rendered.size,
        status=ThumbnailStatus.READY,
        content_type=rendered.content_type,
        width=rendered.width,
        height=rendered.height,
        bytes=len(rendered.data),
        attempts=attempts,
    )
