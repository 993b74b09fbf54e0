"""The responses of the service, as docs/api.md describes them. Times are strings in RFC 3339, sizes are in bytes."""

from __future__ import annotations

from typing import Literal, TypedDict


class Thumbnail(TypedDict):
    size: int
    status: Literal["pending", "ready", "failed"]
    width: int | None
    height: int | None
    bytes: int | None
    url: str | None
    reason: str | None
    attempts: int


class Source(TypedDict):
    """The source of a product image. Its license requires that it is shown with the image."""

    ean: str
    url: str
    product_name: str | None
    brand: str | None
    licence: str
    attribution: str


class FocalPoint(TypedDict):
    """In percent of the width from the left, and of the height from the top."""

    x: int
    y: int


class Position(TypedDict):
    """In degrees (WGS 84), and meters above sea level."""

    latitude: float
    longitude: float
    altitude: float | None


class Metadata(TypedDict):
    """What the camera recorded. A field is None if the file does not have it."""

    taken_at: str | None
    """The time on the clock of the camera, without an offset."""
    taken_offset: str | None
    camera_make: str | None
    camera_model: str | None
    lens: str | None
    exposure_seconds: float | None
    f_number: float | None
    iso: int | None
    focal_length_mm: float | None
    orientation: int | None
    position: Position | None


class Image(TypedDict):
    id: str
    filename: str
    description: str | None
    content_type: str
    size: int
    sha256: str
    uploaded_sha256: str
    width: int
    height: int
    uploaded_at: str
    source: Source | None
    status: Literal["pending", "ready"]
    """Without a scanner, an image is always ready. A pending one has no URLs, because it was not scanned yet."""
    metadata: Metadata | None
    """None for an image that was uploaded before the service read metadata."""
    custom_metadata: dict[str, str]
    original_url: str | None
    thumbnail_url: str | None
    rendition_url: str | None
    """A URI template (RFC 6570) of URLs that show the image in other sizes and formats."""
    urls_expire_at: str | None
    placeholder: str | None
    thumbnails: list[Thumbnail]
    focal_point: FocalPoint | None


class ImagePage(TypedDict):
    items: list[Image]
    next_cursor: str | None


class Share(TypedDict):
    id: str
    url: str
    """The page that shows the images. It needs no account."""
    image_ids: list[str]
    title: str | None
    download: Literal["none", "rendition"]
    created_at: str
    expires_at: str | None
    has_password: bool


class SharePage(TypedDict):
    items: list[Share]
    next_cursor: str | None


class MonthCount(TypedDict):
    month: str
    """As in `2024-05`."""
    images: int


class Timeline(TypedDict):
    months: list[MonthCount]
    """The months with images, newest first."""
    images: int


class JobError(TypedDict):
    code: str
    detail: str


class JobResult(TypedDict):
    image_id: str | None
    url: str | None
    note: str | None
    expires_at: str | None


class Job(TypedDict):
    job_id: str
    kind: str
    ean_code: str | None
    status: Literal["queued", "running", "retrying", "completed", "failed"]
    attempts: int
    progress: int
    message: str
    error: JobError | None
    result: JobResult | None
    created_at: str
    updated_at: str
    finished_at: str | None


class Quota(TypedDict):
    """Null means unlimited."""

    images: int | None
    bytes: int | None


class Limits(TypedDict):
    max_file_size: int
    max_direct_file_size: int
    direct_upload_from: int
    resumable_upload_from: int
    max_request_size: int | None
    max_open_uploads: int
    content_types: list[str]
    extensions: list[str]
    max_pixels: int
    max_frames: int
    max_filename_length: int
    max_description_length: int
    thumbnail_sizes: list[int]
    rendition_sizes: list[int]
    quota: Quota
    has_local_accounts: bool
    can_reset_password: bool


class Usage(TypedDict):
    images: int
    bytes: int
    reserved_bytes: int
    limit: Quota


class Account(TypedDict):
    id: str
    email: str
    display_name: str | None
    created_at: str
    usage: Usage
