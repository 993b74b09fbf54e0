"""Opens the two pools of render processes: one renders thumbnails, one only inspects headers."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from app.imaging.options import RenderLimits, RenderOptions
from app.imaging.pool import RenderPool, open_render_pool
from app.settings import Settings

_QUEUE_PER_PROCESS = 64
"""How many uploads may wait for each render process. Each of them has a file on disk and uses little memory."""
_INSPECTION_QUEUE = 256


def open_renderer(settings: Settings) -> AbstractAsyncContextManager[RenderPool]:
    return open_render_pool(
        _options(settings, sizes=settings.thumbnail_sizes),
        processes=settings.render_processes,
        queue_limit=settings.render_processes * _QUEUE_PER_PROCESS,
    )


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
    )
