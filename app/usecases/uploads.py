"""How an image is born: what was received is checked, its objects are put, and its record is written last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import structlog

from app.core.errors import AppError, FormatUnsupported, ImageMissing, Overloaded, QuotaExceeded
from app.core.formats import FORMATS_BY_CONTENT_TYPE, ImageFormat, describe, sniff
from app.core.ids import made_at, new_id
from app.core.models import (
    Image,
    Quota,
    RenderedThumbnail,
    Rendering,
    Thumbnail,
    ThumbnailStatus,
    User,
    original_key,
)
from app.core.ports import ImageTable, ObjectStore, Renderer

PUT_SECONDS = 60
"""How long an image's objects may take from its id on, rendering included; past that it is given up."""
SETTLED_SECONDS = 90
"""Once an id is this old, nobody is still working on it: objects without a record are leftovers then."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file whose bytes have all arrived; `format` is what its first bytes say."""

    file: BinaryIO
    size: int
    sha256: str
    format: ImageFormat
    filename: str
    description: str | None


class Uploads:
    def __init__(
        self,
        *,
        store: ObjectStore,
        images: ImageTable,
        renderer: Renderer,
        quota: Quota,
        allowed_content_types: Collection[str],
    ) -> None:
        self._store = store
        self._images = images
        self._renderer = renderer
        self._quota = quota
        self._allowed = frozenset(allowed_content_types)

    def recognise(self, head: bytes) -> ImageFormat:
        """Return the format of a file from its beginning. Raises FormatUnsupported."""
        found = sniff(head)
        if found is not None and found.content_type in self._allowed:
            return found
        what = f"a {found.name} image" if found else describe(head)
        allowed = ", ".join(sorted(FORMATS_BY_CONTENT_TYPE[c].name for c in self._allowed))
        raise FormatUnsupported(f"This is {what}. Accepted are {allowed}.")

    async def receive(self, user: User, received: ReceivedFile) -> Image:
        """Check and keep what `user` sent; when this returns, original, thumbnails and record are durable.

        Raises QuotaExceeded and what `Renderer.render` raises; nothing is kept then.
        """
        await self._refuse_over_quota(user, received.size)
        image_id = new_id()
        original = original_key(user.id, image_id, received.format.content_type)
        rendering = await self._put_and_render(original, received)
        return await self.keep(_image(user, image_id, received, rendering), rendering)

    async def keep(self, image: Image, rendering: Rendering) -> Image:
        """Put the thumbnails of an image whose original is there, then write its record."""
        made = zip(image.thumbnails, rendering.thumbnails, strict=True)
        puts = {image.thumbnail_key(thumbnail): rendered for thumbnail, rendered in made}
        async with self._deleted_on_failure(image.object_keys):
            await _together(*(self._store.put(k, r.data, content_type=r.content_type) for k, r in puts.items()))
        await self._add(image)
        _log.info("image.stored", image_id=image.id, bytes=image.size, content_type=image.content_type)
        return image

    async def _refuse_over_quota(self, user: User, size: int) -> None:
        """Spare the work where the answer is known already; the condition in `ImageTable.add` decides."""
        if not self._quota.images and not self._quota.bytes:
            return
        usage = await self._images.usage(user.id)
        if self._quota.images and usage.images + 1 > self._quota.images:
            raise QuotaExceeded
        if self._quota.bytes and usage.bytes + size > self._quota.bytes:
            raise QuotaExceeded

    async def _put_and_render(self, key: str, received: ReceivedFile) -> Rendering:
        put = self._store.put_file(
            key,
            received.file,
            size=received.size,
            sha256=received.sha256,
            content_type=received.format.content_type,
        )
        async with self._deleted_on_failure([key]):
            _, rendering = await _together(put, self._renderer.render(received.file))
        return cast("Rendering", rendering)

    async def _add(self, image: Image) -> None:
        try:
            await self._images.add(image, quota=self._quota)
        except QuotaExceeded:
            await asyncio.shield(self._delete(image.object_keys))
            raise
        except BaseException:
            await asyncio.shield(self._undo_add(image))
            raise

    async def _undo_add(self, image: Image) -> None:
        """After a write that may or may not have happened: a record must never be left without its objects."""
        try:
            await self._images.remove(image.owner_id, image.id)
        except ImageMissing:
            pass
        except AppError as error:
            _log.warning("image.left_for_reconcile", image_id=image.id, cause=error.code)
            return
        await self._delete(image.object_keys)

    @asynccontextmanager
    async def _deleted_on_failure(self, keys: Collection[str]) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PUT_SECONDS):
                yield
        except BaseException as error:
            await asyncio.shield(self._delete(keys))
            if isinstance(error, TimeoutError):
                raise Overloaded from error
            raise

    async def _delete(self, keys: Collection[str]) -> None:
        try:
            await self._store.delete(keys)
        except AppError as error:
            _log.warning("objects.left_for_reconcile", keys=len(keys), cause=error.code)


def _image(user: User, image_id: str, received: ReceivedFile, rendering: Rendering) -> Image:
    return Image(
        id=image_id,
        owner_id=user.id,
        filename=received.filename,
        description=received.description,
        content_type=received.format.content_type,
        size=received.size,
        sha256=received.sha256,
        width=rendering.width,
        height=rendering.height,
        uploaded_at=made_at(image_id),
        placeholder=rendering.placeholder,
        thumbnails=tuple(_thumbnail(rendered) for rendered in rendering.thumbnails),
    )


def _thumbnail(rendered: RenderedThumbnail) -> Thumbnail:
    return Thumbnail(
        size=rendered.size,
        status=ThumbnailStatus.READY,
        content_type=rendered.content_type,
        width=rendered.width,
        height=rendered.height,
        bytes=len(rendered.data),
    )


async def _together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run all of `work` at once; the first failure cancels the rest, which have ended when it is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
