"""What the service knows about: people, images, thumbnails and what they use, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from app.core.formats import FORMATS_BY_CONTENT_TYPE


@dataclass(frozen=True, slots=True)
class User:
    """Whoever a request's token stands for.

    `id` is safe as one part of an object key: letters, digits, `-`, `_` and `.` only, never `.` or `..`.
    """

    id: str
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What an account's owner may see of it."""

    id: str
    email: str | None
    """None where there is none, as after signing in by phone with another provider."""
    display_name: str | None
    created_at: datetime | None
    """None where the provider cannot be asked."""


@dataclass(frozen=True, slots=True)
class Tokens:
    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds until `access_token` is refused."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account kept by the service itself."""

    id: str
    email: str
    """As its owner wrote it; unique by `core.emails.normalise`."""
    password_hash: str
    display_name: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in device: the chain of refresh tokens that began with one sign-in."""

    id: str
    account_id: str
    token_hash: str
    """SHA-256 (hex) of the only refresh token that is good now."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often something was tried in the window that is running."""

    count: int
    resets_at: datetime


class ThumbnailStatus(StrEnum):
    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One size of an image; `size` is the longest side asked for, in pixels."""

    size: int
    status: ThumbnailStatus
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    reason: str | None = None
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fetched image came from, and on what terms."""

    ean: str
    """Normalised: 8 or 13 digits, or 14 (core.ean)."""
    url: str
    """The product's page, for people."""
    product_name: str | None
    brand: str | None
    licence: str
    attribution: str


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
    width: int
    height: int
    """As shown: EXIF orientation applied."""
    uploaded_at: datetime
    placeholder: str | None
    """Thumbhash, base64; None until the thumbnails have been made."""
    thumbnails: tuple[Thumbnail, ...]
    source: Source | None = None

    @property
    def original_key(self) -> str:
        return original_key(self.owner_id, self.id, self.content_type)

    def thumbnail_key(self, thumbnail: Thumbnail) -> str:
        """Of a thumbnail that is ready."""
        return thumbnail_key(self.owner_id, self.id, thumbnail.size, thumbnail.content_type or "")

    @property
    def is_pending(self) -> bool:
        """Whether thumbnails are still to be made."""
        return any(thumbnail.status is ThumbnailStatus.PENDING for thumbnail in self.thumbnails)

    @property
    def sidecar_key(self) -> str:
        return sidecar_key(self.owner_id, self.id)

    @property
    def object_keys(self) -> tuple[str, ...]:
        """The key of every object that belongs to this record: the original, its sidecar, the ready thumbnails."""
        ready = (t for t in self.thumbnails if t.status is ThumbnailStatus.READY)
        return (self.original_key, self.sidecar_key, *(self.thumbnail_key(t) for t in ready))


IMAGES_PREFIX = "images/"
INCOMING_PREFIX = "incoming/"
EXPORTS_PREFIX = "exports/"


def image_folder(owner_id: str, image_id: str) -> str:
    return f"{IMAGES_PREFIX}{owner_id}/{image_id}/"


def original_key(owner_id: str, image_id: str, content_type: str) -> str:
    return f"{image_folder(owner_id, image_id)}original.{_extension(content_type)}"


def thumbnail_key(owner_id: str, image_id: str, size: int, content_type: str) -> str:
    return f"{image_folder(owner_id, image_id)}{size}.{_extension(content_type)}"


def sidecar_key(owner_id: str, image_id: str) -> str:
    """The key of the object that repeats what only the record knows, so that a lost record can be rebuilt."""
    return f"{image_folder(owner_id, image_id)}metadata.json"


def _extension(content_type: str) -> str:
    return FORMATS_BY_CONTENT_TYPE[content_type].extensions[0]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one user keeps; `bytes` counts the originals."""

    images: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """What one user may keep; 0 is without limit."""

    images: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class RenderedThumbnail:
    size: int
    width: int
    height: int
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Rendering:
    """What the renderer found out about an image, and made of it."""

    content_type: str
    width: int
    height: int
    placeholder: str | None
    """None where the header alone was asked for."""
    thumbnails: tuple[RenderedThumbnail, ...]


@dataclass(frozen=True, slots=True)
class StoredObject:
    key: str
    size: int
    modified_at: datetime
    """By the store's own clock: compare it with `ObjectStore.now` only."""


@dataclass(frozen=True, slots=True)
class SignedForm:
    """A form that stores one object without a token: its `fields`, then the file in a field named `file`, to `url`."""

    url: str
    """Relative to the service's base URL where this service itself takes the form."""
    fields: Mapping[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PostedForm:
    """The one object that a form may store."""

    key: str
    content_type: str
    size: int
    sha256: str | None
    """Hex; None where any content of that size will do."""


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """An upload that goes straight into the store: what was announced of it, and under which key it arrives."""

    id: str
    owner_id: str
    filename: str
    description: str | None
    content_type: str
    size: int
    sha256: str | None
    expires_at: datetime

    @property
    def key(self) -> str:
        return f"{INCOMING_PREFIX}{self.owner_id}/{self.id}"


@dataclass(frozen=True, slots=True)
class RequestClaim:
    """The right to create the result of a request that was sent with an idempotency key."""

    key: str
    result_id: str


@dataclass(frozen=True, slots=True)
class JobClaim:
    """The right of one attempt at a background job to write the job's results."""

    job_id: str
    claim: str


Claim = RequestClaim | JobClaim


class ClaimLost(Exception):
    """Another process holds the claim now, so nothing may be written under it. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An image that its owner deleted: no record with its id can be added again.

    It is open until all objects of the image are gone.
    """

    owner_id: str
    image_id: str
    deleted_at: datetime


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """What earlier reconcile runs found out of step about one image, and when each first saw it (the store's time)."""

    owner_id: str
    image_id: str
    unreferenced: Mapping[str, datetime]
    """Objects that no record refers to: when each was first seen, by the last part of its key."""
    lost_since: datetime | None
    """When the record's original was first seen to be missing."""


@dataclass(frozen=True, slots=True)
class ReconcileState:
    """What one reconcile run leaves for the next. All times are the store's."""

    run_id: str
    """The id of the latest run; the store holds an object of this name, by which a restored table is noticed."""
    unbroken_since: datetime
    """Grace periods that began before this time begin again at this time."""
    originals_deleted: Mapping[str, int]
    """How many unreferenced originals were deleted on each day (`2026-11-30`) of the last seven."""


@dataclass(frozen=True, slots=True)
class OnceRecord:
    """A request that is carried out at most once: under way, or done.

    `fingerprint` tells the same request from another under the same key; `result_id` is the id of what it makes.
    The process that carries it out changes `leased_until` every few seconds. Others compare it with what they saw
    before, never with a clock: a record that did not change for the length of the lease was abandoned.
    """

    owner_id: str
    key: str
    fingerprint: str
    result_id: str
    done: bool
    leased_until: datetime
    expires_at: datetime

    @property
    def claim(self) -> RequestClaim:
        return RequestClaim(self.key, self.result_id)


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL that needs no token; relative to the service's base URL where this service itself serves it."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LocalObject:
    """An object that this machine has as a file."""

    path: Path
    size: int
    content_type: str
    etag: str
    """Strong, with its quotes."""
