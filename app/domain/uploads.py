"""Direct uploads: files that a client sends straight into the object store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.domain.object_keys import incoming_key


@dataclass(frozen=True, slots=True)
class UploadIntent:
    """The metadata that a client declares before it sends a file. The file itself is checked when it has arrived."""

    filename: str
    description: str | None
    content_type: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """A direct upload that was initiated."""

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
        """The key under which the file arrives."""
        return incoming_key(self.owner_id, self.id)
