"""How an image is born: what was received is checked, its objects are put, and its record is written last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import structlog

from app.core.errors import AppError, FormatUnsupported, ImageMissing, Overloaded, QuotaExceeded, TokenInvalid
from app.core.formats import ImageFormat, require_format
from app.core.ids import made_at, new_id
from app.core.jobs import JobKind
from app.core.models import (
    Claim,
    ClaimLost,
    Image,
    Quota,
    RenderedThumbnail,
    Rendering,
    Source,
    Thumbnail,
    ThumbnailStatus,
    User,
    original_key,
)
from app.core.ports import ImageTable, Metrics, ObjectStore, Renderer
from app.usecases.jobs import Jobs
from app.usecases.sidecars import Sidecar, write_sidecar

PUT_SECONDS = 40
"""How long an image's objects may take, rendering included; past that it is given up."""

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
        inspector: Renderer,
        jobs: Jobs,
        metrics: Metrics,
        quota: Quota,
        sizes: Sequence[int],
        allowed_content_types: Collection[str],
    ) -> None:
        """`inspector` is a renderer without sizes; `sizes` are those that `renderer` makes."""
        self._store = store
        self._images = images
        self._renderer = renderer
        self._inspector = inspector
        self._jobs = jobs
        self._metrics = metrics
        self._quota = quota
        self._sizes = sizes
        self._allowed = frozenset(allowed_content_types)

    def recognise(self, head: bytes) -> ImageFormat:
        """Return the format of a file from its beginning. Raises FormatUnsupported."""
        return require_format(head, self._allowed)

    def require_allowed(self, content_type: str) -> None:
        """Raises FormatUnsupported unless `content_type` is one that is taken."""
        if content_type not in self._allowed:
            raise FormatUnsupported(f"{content_type} is not taken. Taken are {', '.join(sorted(self._allowed))}.")

    async def receive(
        self,
        user: User,
        received: ReceivedFile,
        *,
        image_id: str | None = None,
        source: Source | None = None,
        claim: Claim | None = None,
    ) -> Image:
        """Check and keep what `user` sent; when this returns, original, thumbnails and record are durable.

        Raises QuotaExceeded, what `Renderer.render` raises, and ClaimLost unless `claim` is held to the end; nothing
        is kept then.
        """
        await self.refuse_over_quota(user, received.size)
        image_id = image_id or new_id()
        original = original_key(user.id, image_id, received.format.content_type)
        keys = {original}
        async with self._deleted_on_failure(keys):
            _, rendering = await _together(self._put(original, received), self._renderer.render(received.file))
            image = _image(user, image_id, received, rendering, source)
            keys.update(image.object_keys)
            await _together(put_thumbnails(self._store, image, rendering), write_sidecar(self._store, image))
        await self._add(image, claim)
        self._metrics.count_image(image.size)
        _log.info("image.stored", image_id=image.id, bytes=image.size, content_type=image.content_type)
        return image

    async def receive_unrendered(
        self, user: User, received: ReceivedFile, *, image_id: str | None = None, claim: Claim | None = None
    ) -> Image:
        """Check the header of what `user` sent and keep it; the thumbnails are made in the background.

        When this returns, the original, the record and the job are durable. Raises QuotaExceeded, what
        `Renderer.render` raises for a header, and ClaimLost; nothing is kept then.
        """
        await self.refuse_over_quota(user, received.size)
        image = await self._inspect(user, received, image_id=image_id or new_id(), source=None)
        async with self._deleted_on_failure(image.object_keys):
            await _together(self._put(image.original_key, received), write_sidecar(self._store, image))
            # Before the record, which must never wait for thumbnails that nobody makes.
            job = await self._jobs.add(user.id, JobKind.RENDER, image_id=image.id)
        await self._add(image, claim)
        await self._jobs.send(job)
        self._metrics.count_image(image.size)
        _log.info("image.accepted", image_id=image.id, bytes=image.size, content_type=image.content_type)
        return image

    async def receive_rendered_if_possible(
        self, user: User, received: ReceivedFile, *, image_id: str | None = None, claim: Claim | None = None
    ) -> Image:
        """`receive`, or where more is going on than can be rendered now, `receive_unrendered`."""
        image_id = image_id or new_id()
        try:
            return await self.receive(user, received, image_id=image_id, claim=claim)
        except Overloaded:
            return await self.receive_unrendered(user, received, image_id=image_id, claim=claim)

    async def adopt(self, user: User, received: ReceivedFile, *, image_id: str, sidecar: Sidecar) -> Image:
        """Add the record of an original that is in the store but lost its record; a job makes its thumbnails.

        The quota is counted and never refuses it: the image was accepted before. Raises what `Renderer.render` raises
        for a header, ImageMissing if its owner deleted the image, and TokenInvalid if the owner's account was closed.
        """
        image = await self._inspect(user, received, image_id=image_id, source=sidecar.source)
        job = await self._jobs.add(user.id, JobKind.RENDER, image_id=image.id)
        await self._images.add(image, quota=Quota())
        await self._jobs.send(job)
        return image

    async def _inspect(self, user: User, received: ReceivedFile, *, image_id: str, source: Source | None) -> Image:
        """Return the record of a file whose header is good, with all thumbnails pending."""
        header = await self._inspector.render(received.file)
        pending = tuple(Thumbnail(size, ThumbnailStatus.PENDING, attempts=0) for size in self._sizes)
        return replace(_image(user, image_id, received, header, source), thumbnails=pending)

    async def refuse_over_quota(self, user: User, size: int) -> None:
        """Spare the work where the answer is known already; the condition in `ImageTable.add` decides."""
        if not self._quota.images and not self._quota.bytes:
            return
        usage = await self._images.usage(user.id)
        if self._quota.images and usage.images + 1 > self._quota.images:
            raise QuotaExceeded
        if self._quota.bytes and usage.bytes + size > self._quota.bytes:
            raise QuotaExceeded

    async def _put(self, key: str, received: ReceivedFile) -> None:
        await self._store.put_file(
            key,
            received.file,
            size=received.size,
            sha256=received.sha256,
            content_type=received.format.content_type,
        )

    async def _add(self, image: Image, claim: Claim | None) -> None:
        try:
            await self._images.add(image, quota=self._quota, claim=claim)
        except (ClaimLost, ImageMissing, QuotaExceeded, TokenInvalid):
            await asyncio.shield(self._delete(image.object_keys))
            raise
        except BaseException:
            await asyncio.shield(self._undo_add(image))
            raise

    async def _undo_add(self, image: Image) -> None:
        """After a write that may or may not have happened, or may yet: a record must not be left without its objects.

        So they are deleted only with a record that was there to remove; otherwise reconciling decides, later.
        """
        try:
            await self._images.remove(image.owner_id, image.id)
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


async def put_thumbnails(store: ObjectStore, image: Image, rendering: Rendering) -> None:
    """Put what was rendered under the keys of the image's thumbnails, which are all ready."""
    made = zip(image.thumbnails, rendering.thumbnails, strict=True)
    puts = {image.thumbnail_key(thumbnail): rendered for thumbnail, rendered in made}
    await _together(*(store.put(key, r.data, content_type=r.content_type) for key, r in puts.items()))


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


def _image(user: User, image_id: str, received: ReceivedFile, rendering: Rendering, source: Source | None) -> Image:
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
        thumbnails=tuple(ready_thumbnail(rendered) for rendered in rendering.thumbnails),
        source=source,
    )


async def _together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run all of `work` at once; the first failure cancels the rest, which have ended when it is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
