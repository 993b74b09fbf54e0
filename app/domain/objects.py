"""Objects in the object store, and the URLs and forms that give access to them without a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

BRIEF_SECONDS = 60
"""How long the URLs are valid that must not outlive a permission that may be revoked."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    key: str
    size: int
    modified_at: datetime
    """By the store's own clock: compare it with `ObjectStore.now` only."""


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL that needs no token. It is relative to the service's base URL if the service itself serves it."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignedUrls:
    """The URLs of several objects, which are relative like those of `SignedUrl`."""

    urls: Sequence[str]
    expires_at: datetime
    """When the first of them expires."""


@dataclass(frozen=True, slots=True)
class PresignedPost:
    """A form that stores one object without a token.

    The client posts `fields`, followed by the file in a field named `file`, to `url`.
    """

    url: str
    """Relative to the service's base URL if the service itself receives the form."""
    fields: Mapping[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PresignedPostClaims:
    """The one object that a presigned form may store."""

    key: str
    content_type: str
    size: int
    sha256: str | None
    """Hex; None if any content of that size is allowed."""


@dataclass(frozen=True, slots=True)
class LocalObject:
    """An object that is a file on this machine."""

    path: Path
    size: int
    content_type: str
    etag: str
    """A strong ETag, with its quotes."""
