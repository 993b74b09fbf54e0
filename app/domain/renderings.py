"""The results of rendering an image."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.domain.metadata import Metadata


@dataclass(frozen=True, slots=True)
class RenderedThumbnail:
    size: int
    """The requested length of the longest side, in pixels."""
    width: int
    height: int
    content_type: str
    data: bytes


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
