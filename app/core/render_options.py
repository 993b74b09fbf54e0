"""What the service asks of a rendering; apart from the rendering itself, so that asking loads no decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.core.formats import FORMATS_BY_CONTENT_TYPE


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """What a file may claim in its header; past it, nothing of it is decoded."""

    max_pixels: int = 50_000_000
    max_side: int = 16_384
    max_frames: int = 500
    max_total_pixels: int = 200_000_000
    """Over all frames."""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    sizes: tuple[int, ...] = (200, 500, 800)
    """The longest side of each thumbnail, in pixels; none of them: only the header is looked at."""
    thumbnail_format: Literal["auto", "webp", "jpeg"] = "auto"
    allowed_content_types: frozenset[str] = frozenset(FORMATS_BY_CONTENT_TYPE)
    limits: RenderLimits = RenderLimits()
