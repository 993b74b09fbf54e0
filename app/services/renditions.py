"""Renders renditions when they are first requested, each once, and keeps the most recently used ones of an image."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO

import structlog

from app.common.leases import Leases
from app.common.rendition_urls import RenditionClaims, RenditionUrls
from app.common.temp_files import TempFiles
from app.domain.errors import AppError, ImageMissing, ImagePending, Overloaded
from app.domain.images import FocalPoint, Image
from app.domain.object_keys import image_folder, is_rendition_key, preview_key, rendition_key, shared_original_key
from app.domain.objects import StoredObject
from app.domain.renderings import Output, Stripping
from app.domain.renditions import MAX_RENDITIONS, PREVIEW, RenditionRequest, plan, uses_preview
from app.ports.clock import Clock
from app.ports.renderer import Inspector, Renderer, RenderTurns, StrippedFile
from app.ports.storage import ObjectStore
from app.ports.tables import IdempotencyTable, ImageTable
from app.services.originals import fetch_original

_LEASE_SECONDS = 60
_RENDER_SECONDS = 50
"""Less than the lease, so that no other process renders the same at the same time."""
_WAIT_SECONDS = 25
"""How long a request waits while another process renders the same."""
_RETRY_SECONDS, _POLL_SECONDS = 5, 0.25
_TOUCH_AFTER = timedelta(hours=1)
"""How exactly the time of the latest use is known: more often, it is not stored."""
_MAX_PREVIEW_BYTES = 64 << 20

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Target:
    """An object that is to be made from another one."""

    image: Image
    key: str
    output: Output | None
    """None is a copy of the source without its position."""
    source_key: str
    max_source_bytes: int


class Renditions:
    def __init__(
        self,
        *,
        urls: RenditionUrls,
        store: ObjectStore,
        images: ImageTable,
        leases: IdempotencyTable,
        renderer: Renderer,
        inspector: Inspector,
        turns: RenderTurns,
        temp_files: TempFiles,
        sizes: Sequence[int],
        clock: Clock,
    ) -> None:
        """`turns` bounds the requests that wait for a rendering or are being rendered. `sizes` are ascending."""
        self.urls = urls
        self._store = store
        self._images = images
        self._leases = Leases(leases, clock=clock)
        self._renderer = renderer
        self._inspector = inspector
        self._turns = turns
        self._temp_files = temp_files
        self._sizes = sizes
        self._clock = clock
        self._running: dict[str, asyncio.Task[None]] = {}

    async def ensure(self, claims: RenditionClaims, request: RenditionRequest) -> str:
        """Return the key of the rendition, which is rendered first unless it is stored.

        Raises ImageMissing, ImagePending, ObjectMissing if the original is missing, Overloaded if too many renderings
        wait or another process does not finish this one in time, and what `Renderer.render` raises.
        """
        image = await self._images.get(claims.owner_id, claims.image_id)
        return await self.ensure_of(image, request, focal_point=claims.focal_point)

    async def ensure_of(
        self, image: Image, request: RenditionRequest, *, focal_point: FocalPoint, max_side: int | None = None
    ) -> str:
        """Like `ensure`, of an image that the caller may see. Sizes that are larger than `max_side` are not used."""
        if image.is_pending:
            raise ImagePending
        sizes = [size for size in self._sizes if max_side is None or size <= max_side] or self._sizes[:1]
        output = plan(image, request, focal_point=focal_point, sizes=sizes)
        key = rendition_key(image.owner_id, image.id, output)
        found = await self._store.find(key)
        if found is not None:
            await self._touch(found)
            return key
        if uses_preview(image, output):
            source_key, max_bytes = preview_key(image.owner_id, image.id), _MAX_PREVIEW_BYTES
            if await self._store.find(source_key) is None:
                await self._make_once(_Target(image, source_key, PREVIEW, image.original_key, image.size))
        else:
            source_key, max_bytes = image.original_key, image.size
        await self._make_once(_Target(image, key, output, source_key, max_bytes))
        return key

    async def ensure_without_location(self, image: Image) -> str:
        """Return the key of a copy of the original without its position, which is made first unless it is stored.

        Raises the errors of `ensure`, and ImageCorrupt if the position cannot be removed.
        """
        if image.is_pending:
            raise ImagePending
        key = shared_original_key(image.owner_id, image.id, image.content_type)
        found = await self._store.find(key)
        if found is not None:
            await self._touch(found)
        else:
            await self._make_once(_Target(image, key, None, image.original_key, image.size))
        return key

    async def _touch(self, found: StoredObject) -> None:
        if self._clock() - found.modified_at > _TOUCH_AFTER:
            with suppress(AppError):  # The object can be served all the same.
                await self._store.touch(found.key)

    async def _make_once(self, target: _Target) -> None:
        """Make the object, or wait until another request of this or another process has made it."""
        task = self._running.get(target.key)
        if task is None:
            task = self._running[target.key] = asyncio.create_task(self._make(target))
            task.add_done_callback(lambda done: self._forget(target.key, done))
        # Other requests wait for the same task, so it goes on if this one is canceled.
        await asyncio.shield(task)

    def _forget(self, key: str, task: asyncio.Task[None]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # Otherwise asyncio logs that it was never retrieved, if all requests were canceled.

    async def _make(self, target: _Target) -> None:
        loop = asyncio.get_running_loop()
        gives_up_at = loop.time() + _WAIT_SECONDS
        while loop.time() < gives_up_at:
            if await self._try_to_make(target) or await self._appears(target.key):
                return
        raise Overloaded("The image is still being rendered. Try again in a moment.")

    async def _try_to_make(self, target: _Target) -> bool:
        """Return True if the object exists now, or False if another process is making it."""
        owner_id = target.image.owner_id
        await self._turns.acquire(owner_id)
        try:
            async with self._leases.held(owner_id, f"render {target.key}", seconds=_LEASE_SECONDS) as is_held:
                # Another process may have stored the object just before its lease ended.
                if is_held and await self._store.find(target.key) is None:
                    async with asyncio.timeout(_RENDER_SECONDS):
                        await self._render(target)
                return is_held
        except TimeoutError as error:
            raise Overloaded from error
        finally:
            self._turns.release()

    async def _appears(self, key: str) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + _RETRY_SECONDS
        while loop.time() < until:
            await asyncio.sleep(_POLL_SECONDS)
            if await self._store.find(key) is not None:
                return True
        return False

    async def _render(self, target: _Target) -> None:
        image = target.image
        async with self._temp_files.file() as file:
            sha256 = await fetch_original(self._store, target.source_key, file, max_bytes=target.max_source_bytes)
            if target.output is None:
                await self._put_without_location(target, StrippedFile(image.size, sha256), file)
            else:
                rendering = await self._renderer.render(file, owner_id=image.owner_id, output=target.output)
                (rendered,) = rendering.thumbnails
                await self._store.put(target.key, rendered.data, content_type=rendered.content_type)
        try:
            await self._images.get(image.owner_id, image.id)
        except ImageMissing:
            # The image was deleted in the meantime, and the deletion did not know of this object.
            await self._store.delete([target.key])
            raise
        if is_rendition_key(target.key):
            await self._evict(image, except_key=target.key)

    async def _put_without_location(self, target: _Target, original: StrippedFile, file: BinaryIO) -> None:
        image = target.image
        async with self._temp_files.file() as output:
            stripped = await self._inspector.strip(file, output, stripping=Stripping.LOCATION, owner_id=image.owner_id)
            content, source = (stripped, output) if stripped else (original, file)
            await self._store.put_file(
                target.key, source, size=content.size, sha256=content.sha256, content_type=image.content_type
            )

    async def _evict(self, image: Image, *, except_key: str) -> None:
        """Delete the renditions that were not used for the longest time, if there are too many."""
        folder = image_folder(image.owner_id, image.id)
        others = [s async for s in self._store.walk(folder) if is_rendition_key(s.key) and s.key != except_key]
        excess = len(others) + 1 - MAX_RENDITIONS
        if excess > 0:
            oldest = sorted(others, key=lambda stored: stored.modified_at)[:excess]
            await self._store.delete([stored.key for stored in oldest])
            _log.info("renditions.evicted", image_id=image.id, renditions=excess)
