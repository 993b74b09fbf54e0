"""Opens the two pools of render processes: one renders thumbnails, one only inspects headers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from app.imaging.options import RenderLimits, RenderOptions
from app.imaging.pool import RenderPool, open_render_pool
from app.imaging.protocol import Protection
from app.settings import Settings

_QUEUE_PER_PROCESS = 64
"""How many uploads may wait for each render process. Each of them has a file on disk and uses little memory."""
_INSPECTION_QUEUE = 256

_log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def open_renderer(settings: Settings) -> AsyncIterator[RenderPool]:
    """Raises RuntimeError if a worker does not start, or lacks a protection that DECODER_SANDBOX=required demands."""
    async with open_render_pool(
        _options(settings, sizes=settings.thumbnail_sizes),
        processes=settings.render_processes,
        queue_limit=settings.render_processes * _QUEUE_PER_PROCESS,
    ) as pool:
        check_protection(settings, pool.lacking)
        yield pool


def check_protection(settings: Settings, lacking: Protection) -> None:
    """Log what the decoders lack. Raises RuntimeError if the settings require it."""
    names = [str(protection.name).lower() for protection in Protection if protection in lacking]
    if names and settings.decoder_sandbox == "required":
        raise RuntimeError(
            f"DECODER_SANDBOX=required, but {' and '.join(names)} cannot be used on this system: see the section on "
            "the decoder sandbox in docs/operations.md, or set DECODER_SANDBOX=auto."
        )
    if names:
        _log.warning("decoder_sandbox.incomplete", missing=names)


def open_inspector(settings: Settings) -> AbstractAsyncContextManager[RenderPool]:
    """A separate pool, so that an upload that does not wait for its thumbnails does not wait for other renderings."""
    return open_render_pool(
        _options(settings, sizes=()), processes=1, queue_limit=_INSPECTION_QUEUE, cpu_seconds=2, wall_seconds=5
    )


def _options(settings: Settings, *, sizes: tuple[int, ...]) -> RenderOptions:
    return RenderOptions(
        sizes=sizes,
        thumbnail_format=settings.thumbnail_format,
        allowed_content_types=settings.allowed_content_types,
        limits=RenderLimits(max_pixels=settings.max_pixels, max_frames=settings.max_frames),
        keep_location=settings.keep_location,
    )
