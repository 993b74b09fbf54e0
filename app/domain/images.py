"""Images, their thumbnails, and how much of them one user may store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.domain.metadata import Metadata, sorting_time
from app.domain.object_keys import original_key, sidecar_key, thumbnail_key

ImageChanges = Mapping[str, str | dict[str, str] | dict[str, int] | None]
"""New values of the fields that users edit, by name."""


class ThumbnailStatus(StrEnum):
    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class ImageStatus(StrEnum):
    PENDING = "pending"
    """The scanner has not accepted it yet, so nobody can download it."""
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One size of an image. `size` is the requested length of the longest side, in pixels."""

    size: int
    status: ThumbnailStatus
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    reason: str | None = None
    """Why it failed."""
    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an image came from that the service fetched from a product catalog, and its license terms."""

    ean: str
    """Normalized: 8, 13 or 14 digits (domain.ean)."""
    url: str
    """The product's web page."""
    product_name: str | None = None
    brand: str | None = None
    licence: str
    attribution: str


@dataclass(frozen=True, slots=True)
class FocalPoint:
    """The point around which an image is cropped, in percent of its width and height from the upper left corner."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Image:
    """The record of an image whose original is in the object store."""

    id: str
    owner_id: str
    filename: str
    description: str | None
    content_type: str
    size: int
    """Bytes of the original."""
    sha256: str
    """Of the original, in hexadecimal digits."""
    width: int
    height: int
    """Pixels as displayed, after EXIF orientation is applied."""
    uploaded_at: datetime
    placeholder: str | None
    """A thumbhash in base64; None until the thumbnails have been rendered."""
    thumbnails: tuple[Thumbnail, ...]
    source: Source | None = None
    status: ImageStatus = ImageStatus.READY
    focal_point: FocalPoint | None = None
    """None is the center."""
    metadata: Metadata | None = None
    """None if the image was uploaded before the service read metadata."""
    custom_metadata: dict[str, str] = field(default_factory=dict)
    """Pairs of text that the client sets."""
    uploaded_sha256: str | None = None
    """Of the received file, if it lost metadata before it was stored. None if it was stored as it is."""

    @property
    def is_pending(self) -> bool:
        return self.status is ImageStatus.PENDING

    @property
    def sorting_time(self) -> str:
        """The time of the camera's clock, or of the upload (UTC). It never changes, because its fields never do."""
        return sorting_time(self.metadata, self.uploaded_at)

    @property
    def original_key(self) -> str:
        return original_key(self.owner_id, self.id, self.content_type)

    @property
    def sidecar_key(self) -> str:
        return sidecar_key(self.owner_id, self.id)

    def thumbnail_key(self, thumbnail: Thumbnail) -> str:
        """Return the key of a thumbnail that is ready."""
        return thumbnail_key(self.owner_id, self.id, thumbnail.size, thumbnail.content_type or "")

    @property
    def has_pending_thumbnails(self) -> bool:
        return any(thumbnail.status is ThumbnailStatus.PENDING for thumbnail in self.thumbnails)

    @property
    def object_keys(self) -> tuple[str, ...]:
        """The keys of all objects that belong to this record: the original, its sidecar, the ready thumbnails."""
        ready = (t for t in self.thumbnails if t.status is ThumbnailStatus.READY)
        return (self.original_key, self.sidecar_key, *(self.thumbnail_key(t) for t in ready))


@dataclass(frozen=True, slots=True)
class Usage:
    """What one user stores. `bytes` counts originals only; `reserved_bytes` are those of `open_uploads`."""

    images: int = 0
    bytes: int = 0
    reserved_bytes: int = 0
    open_uploads: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """What one user may store, open direct uploads included. 0 means unlimited."""

    images: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Marks a deleted image, so that no record with its id can be added again.

    A tombstone is open until all objects of the image have been deleted.
    """

    owner_id: str
    image_id: str
    deleted_at: datetime
