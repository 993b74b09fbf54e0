"""What a camera recorded about a photo: when, with what, and where it was taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a photo was taken, in degrees (WGS 84). `altitude` is in meters above sea level."""

    latitude: float
    longitude: float
    altitude: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The metadata in a file. A field is None if the file does not have it."""

    taken_at: str | None = None
    """The time on the clock of the camera, as ISO 8601 text with milliseconds and without an offset. All texts have
    the same width, so that text comparison orders them."""
    taken_offset: str | None = None
    """The offset of that clock from UTC, such as `+02:00`."""
    camera_make: str | None = None
    camera_model: str | None = None
    lens: str | None = None
    exposure_seconds: float | None = None
    f_number: float | None = None
    iso: int | None = None
    focal_length_mm: float | None = None
    orientation: int | None = None
    """The orientation in EXIF, 1 to 8."""
    position: Position | None = None
    """Only with KEEP_LOCATION."""


def sorting_time(metadata: Metadata | None, uploaded_at: datetime) -> str:
    """Return the text that orders images by the time at which they were taken.

    An image without that time is ordered by the time of its upload, in UTC.
    """
    if metadata is not None and metadata.taken_at is not None:
        return metadata.taken_at
    return uploaded_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
