"""Links that show some images of a user to anyone who has the link."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_IMAGES = 500


class ShareDownload(StrEnum):
    """What the receiver of a link may download."""

    NONE = "none"
    RENDITION = "rendition"
    """The largest rendition. It has no metadata."""
    ORIGINAL = "original"
    """A copy of the original without the position."""


@dataclass(frozen=True, slots=True)
class Share:
    id: str
    owner_id: str
    image_ids: tuple[str, ...]
    """In the order in which they are shown. An image that is deleted later is left out."""
    title: str | None
    download: ShareDownload
    created_at: datetime
    expires_at: datetime | None = None
    password_hash: str | None = None

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now
