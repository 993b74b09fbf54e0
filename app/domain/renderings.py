"""What can be rendered from an image, and the results."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from app.domain.metadata import Metadata

ThumbnailFormat = Literal["auto", "avif", "webp", "jpeg"]
"""`auto` is WebP for images with transparency and JPEG for all others."""


class Stripping(StrEnum):
    """What a file loses while its pixels stay as they are."""

    LOCATION = "location"
    """The position, the names of the place, and what may contain them."""
    ALL = "all"
    """All metadata that is not needed to display the image."""


@dataclass(frozen=True, slots=True)
class RenderedThumbnail:
    size: int
    """The requested length of the longest side, in pixels."""
    width: int
    height: int
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of a scaled image that is kept: at most this many pixels, as close as possible around a focal point."""

    width: int
    height: int
    x: int
    """The focal point, in percent of the width from the left."""
    y: int
    """The focal point, in percent of the height from the top."""


@dataclass(frozen=True, slots=True)
class Output:
    """One image that is rendered instead of the thumbnails."""

    longest: int
    """The length of the longest side before cropping, in pixels."""
    format: ThumbnailFormat
    quality: int = 80
    """Of JPEG and WebP, from 1 to 100."""
    crop: Crop | None = None


@dataclass(frozen=True, slots=True)
class Rendering:
    """The properties of an image, and its thumbnails."""

    content_type: str
    width: int
    height: int
    placeholder: str | None
    """A thumbhash in base64; None if only the header was read."""
    thumbnails: tuple[RenderedThumbnail, ...]
    metadata: Metadata = field(default_factory=Metadata)
