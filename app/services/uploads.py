"""Creates images: validates the upload, stores its objects, writes the record last. All uploads end here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace

import structlog

from app.common.gathering import gather_all, gather_or_cancel
from app.common.sidecars import Sidecar, write_sidecar
from app.common.webhook_events import WebhookEvents
from app.domain.accounts import User
from app.domain.claims import Claim, ClaimLost
from app.domain.errors import AppError, FormatUnsupported, ImageMissing, Overloaded, OwnerClosed, QuotaExceeded
from app.domain.events import Event, EventType
from app.domain.formats import UNKNOWN_TYPE, ImageFormat, require_format
from app.domain.ids import new_id
from app.domain.images import Image, ImageStatus, Quota, Source, Thumbnail, ThumbnailStatus
from app.domain.object_keys import original_key
from app.domain.uploads import DirectUpload
from app.jobs.service import JobService
from app.ports.metrics import Metrics
from app.ports.renderer import Renderer
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable
from app.services.new_images import ReceivedFile, new_image
from app.services.rendered_thumbnails import put_thumbnails
from app.services.stripping import Strip

RENDER_JOB_KIND = "render"
SCAN_JOB_KIND = "scan"
_STORE_SECONDS = 40
"""How long storing objects may take. Rendering does not count: the pool limits its time, and how many wait for it."""

_log = structlog.stdlib.get_logger(__name__)


class Uploads:
    def __init__(
        self,
        *,
        store: ObjectStore,
        images: ImageTable,
        renderer: Renderer,
        inspector: Renderer,
        jobs: JobService,
        events: WebhookEvents,
        metrics: Metrics,
        quota: Quota,
        sizes: Sequence[int],
        allowed_content_types: Collection[str],
        scans: bool,
        strip: Strip | None = None,
    ) -> None:
        """`inspector` is a renderer without thumbnail sizes; `sizes` are those that `renderer` makes.

        With `scans`, images are pending until a scan job has accepted them. With `strip`, originals lose metadata.
        """
        self._store = store
        self._images = images
        self._renderer = renderer
        self._inspector = inspector
        self._jobs = jobs
        self._events = events
        self._metrics = metrics
        self.quota = quota
        self._sizes = sizes
        self._allowed = frozenset(allowed_content_types)
        self._scans = scans
        self._strip = strip
        self._deferred_kind = SCAN_JOB_KIND if scans else RENDER_JOB_KIND

    def detect_format(self, head: bytes) -> ImageFormat:
        """Return the format of a file that begins with `head`. Raises FormatUnsupported."""
        return require_format(head, self._allowed)

    def require_supported_type(self, content_type: str) -> None:
        """Raises FormatUnsupported unless `content_type` is a canonical type that is supported, or unknown."""
        if content_type not in (*self._allowed, UNKNOWN_TYPE):
            supported = ", ".join(sorted(self._allowed))
            raise FormatUnsupported(f"Unsupported content type: {content_type}. Supported: {supported}.")

    async def store_upload(
        self,
        user: User,
        received: ReceivedFile,
        *,
        image_id: str | None = None,
        source: Source | None = None,
        claim: Claim | None = None,
        upload: DirectUpload | None = None,
    ) -> Image:
        """Validate and store an image. When this returns, original, thumbnails and record are durable.

        If images are scanned, it is the same as `store_deferred`.
        With `upload`, the image counts instead of the bytes that the upload has reserved in the quota.

        Raises QuotaExceeded, what `Renderer.render` raises, and ClaimLost unless `claim` is held to the end. After an
        error nothing is left, except for a resumable upload: another attempt may be creating the same image.
        """
        if self._scans:
            return await self.store_deferred(user, received, image_id, source=source, claim=claim, upload=upload)
        async with self._stripped(user, received) as stripped:
            return await self._store_rendered(
                user, stripped, image_id or new_id(), source=source, claim=claim, upload=upload
            )

    async def _store_rendered(
        self,
        user: User,
        received: ReceivedFile,
        image_id: str,
        *,
        source: Source | None,
        claim: Claim | None,
        upload: DirectUpload | None,
    ) -> Image:
        await self.check_quota(user, received.size - _reserved_by(upload))
        original = original_key(user.id, image_id, received.format.content_type)
        keys = {original}
        async with self._deleted_on_failure(() if _is_shared(upload) else keys):
            _, rendering = await gather_or_cancel(
                self._put_original(original, received), self._renderer.render(received.file, owner_id=user.id)
            )
            image = new_image(user, image_id, received, rendering, source)
            keys.update(image.object_keys)
            async with asyncio.timeout(_STORE_SECONDS):
                await gather_all(put_thumbnails(self._store, image, rendering), write_sidecar(self._store, image))
                await self._store.make_durable(image.object_keys)
                events = await self._events.of_image(image, EventType.IMAGE_CREATED, EventType.IMAGE_READY)
        await self._add_record(image, claim, upload, events=events)
        self._metrics.count_image(image.size)
        _log.info("image.stored", image_id=image.id, bytes=image.size, content_type=image.content_type)
        return image

    async def store_deferred(
        self,
        user: User,
        received: ReceivedFile,
        image_id: str | None = None,
        *,
        source: Source | None = None,
        claim: Claim | None = None,
        upload: DirectUpload | None = None,
    ) -> Image:
        """Validate the header of an image and store it. Background jobs scan it, if images are scanned, and render it.

        When this returns, original, record and job are durable. Raises QuotaExceeded, what `Renderer.render` raises for
        a header, and ClaimLost. After an error the same is left as by `store_upload`.
        """
        async with self._stripped(user, received) as stripped:
            return await self._accept(user, stripped, image_id or new_id(), source=source, claim=claim, upload=upload)

    async def _accept(
        self,
        user: User,
        received: ReceivedFile,
        image_id: str,
        *,
        source: Source | None,
        claim: Claim | None,
        upload: DirectUpload | None,
    ) -> Image:
        await self.check_quota(user, received.size - _reserved_by(upload))
        image = await self._inspect(user, received, image_id=image_id, source=source)
        async with (
            self._deleted_on_failure(() if _is_shared(upload) else image.object_keys),
            asyncio.timeout(_STORE_SECONDS),
        ):
            await gather_or_cancel(self._put_original(image.original_key, received), write_sidecar(self._store, image))
            await self._store.make_durable(image.object_keys)
            events = await self._events.of_image(image, EventType.IMAGE_CREATED)
            # The job is added before the record: a record whose thumbnails nobody renders must never exist.
            job = await self._jobs.add(user, self._deferred_kind, image_id=image.id)
        await self._add_record(image, claim, upload, events=events)
        await self._jobs.send(job)
        self._metrics.count_image(image.size)
        _log.info("image.accepted", image_id=image.id, bytes=image.size, content_type=image.content_type)
        return image

    async def store_rendered_if_idle(
        self, user: User, received: ReceivedFile, *, image_id: str | None = None, claim: Claim | None = None
    ) -> Image:
        """Like `store_upload`, or like `store_deferred` if the renderer is overloaded."""
        image_id = image_id or new_id()
        try:
            return await self.store_upload(user, received, image_id=image_id, claim=claim)
        except Overloaded:
            return await self.store_deferred(user, received, image_id, claim=claim)

    async def adopt(self, user: User, received: ReceivedFile, *, image_id: str, sidecar: Sidecar) -> Image:
        """Add the record of an original that is in the store but has no record. A job renders its thumbnails.

        The image counts toward the quota but is never refused, since it was accepted before. Raises what
        `Renderer.render` raises for a header, ImageMissing if a user deleted the image, and OwnerClosed.
        """
        image = await self._inspect(user, received, image_id=image_id, source=sidecar.source)
        image = replace(image, focal_point=sidecar.focal_point)
        job = await self._jobs.add(user, self._deferred_kind, image_id=image.id)
        events = await self._events.of_image(image, EventType.IMAGE_CREATED)
        await self._images.add(image, quota=Quota(), events=events)
        await self._jobs.send(job)
        return image

    async def check_quota(self, user: User, size: int) -> None:
        """Raise QuotaExceeded early if the quota is already exhausted. `ImageTable.add` enforces it."""
        if not self.quota.images and not self.quota.bytes:
            return
        usage = await self._images.usage(user.id)
        if self.quota.images and usage.images + 1 > self.quota.images:
            raise QuotaExceeded
        if self.quota.bytes and usage.bytes + usage.reserved_bytes + size > self.quota.bytes:
            raise QuotaExceeded

    def _stripped(self, user: User, received: ReceivedFile) -> AbstractAsyncContextManager[ReceivedFile]:
        """Return the file that is stored, with which everything that follows works."""
        return self._strip(user, received) if self._strip else nullcontext(received)

    async def _inspect(self, user: User, received: ReceivedFile, *, image_id: str, source: Source | None) -> Image:
        """Validate the header, and return the record with all thumbnails pending."""
        header = await self._inspector.render(received.file, owner_id=user.id)
        pending = tuple(Thumbnail(size, ThumbnailStatus.PENDING, attempts=0) for size in self._sizes)
        status = ImageStatus.PENDING if self._scans else ImageStatus.READY
        return replace(new_image(user, image_id, received, header, source), thumbnails=pending, status=status)

    async def _put_original(self, key: str, received: ReceivedFile) -> None:
        content_type = received.format.content_type
        async with asyncio.timeout(_STORE_SECONDS):
            await self._store.put_file(
                key, received.file, size=received.size, sha256=received.sha256, content_type=content_type, durable=False
            )

    async def _add_record(
        self, image: Image, claim: Claim | None, upload: DirectUpload | None = None, *, events: Sequence[Event]
    ) -> None:
        if _is_shared(upload):
            await self._images.add(image, quota=self.quota, claim=claim, upload=upload, events=events)
            return
        try:
            await self._images.add(image, quota=self.quota, claim=claim, upload=upload, events=events)
        except (ClaimLost, ImageMissing, OwnerClosed, QuotaExceeded):
            await asyncio.shield(self._delete_objects(image.object_keys))
            raise
        except BaseException:
            await asyncio.shield(self._undo_add(image))
            raise

    async def _undo_add(self, image: Image) -> None:
        """Undo a write whose outcome is unknown: a record must never exist without its objects.

        The objects are deleted only if there was a record to remove. Otherwise the write may still take effect, and
        reconciling decides later.
        """
        try:
            events = await self._events.of_deletion(image.owner_id, image.id)
            await self._images.remove(image.owner_id, image.id, events=events)
        except AppError as error:
            _log.warning("image.left_for_reconcile", image_id=image.id, cause=error.code)
            return
        await self._delete_objects(image.object_keys)

    @asynccontextmanager
    async def _deleted_on_failure(self, keys: Collection[str]) -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            await asyncio.shield(self._delete_objects(keys))
            if isinstance(error, TimeoutError):
                raise Overloaded from error
            raise

    async def _delete_objects(self, keys: Collection[str]) -> None:
        try:
            await self._store.delete(keys)
        except AppError as error:
            _log.warning("objects.left_for_reconcile", keys=len(keys), cause=error.code)


def _is_shared(upload: DirectUpload | None) -> bool:
    """Return whether another attempt may be creating the same image from a resumable upload."""
    return upload is not None and upload.parts_id is not None


def _reserved_by(upload: DirectUpload | None) -> int:
    return upload.size if upload and upload.is_open else 0
