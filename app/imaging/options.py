"""Options and limits of a rendering, in a module of their own so that importing them loads no decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.domain.formats import FORMATS_BY_CONTENT_TYPE
from app.domain.renderings import Crop, Output, ThumbnailFormat


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """Limits on what an image header may declare. No pixel of an image that exceeds them is decoded."""

    max_pixels: int = 67_108_864
    """Per frame."""
    max_side: int = 16_384
    """Width and height, in pixels."""
    max_frames: int = 500
    max_total_pixels: int = 200_000_000
    """Over all frames."""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    sizes: tuple[int, ...] = (200, 500, 800)
    """The length of each thumbnail's longest side, in pixels. If empty, only the image header is read."""
    thumbnail_format: ThumbnailFormat = "auto"
    allowed_content_types: frozenset[str] = frozenset(FORMATS_BY_CONTENT_TYPE)
    limits: RenderLimits = RenderLimits()
    keep_location: bool = False
    """Whether the metadata contain the position."""
    quality: int = 80
    """Of JPEG and WebP, from 1 to 100."""
    crop: Crop | None = None

    def for_output(self, output: Output) -> RenderOptions:
        """Return the options that render `output`. Any format is allowed, because the image was accepted before."""
        return replace(
            self,
            sizes=(output.longest,),
            thumbnail_format=output.format,
            allowed_content_types=frozenset(FORMATS_BY_CONTENT_TYPE),
            quality=output.quality,
            crop=output.crop,
        )
