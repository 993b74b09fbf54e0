"""Direct and resumable uploads: files that a client announces before it sends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.domain.object_keys import incoming_key

MAX_OPEN_UPLOADS = 100
"""How many direct and resumable uploads of one owner may be open at the same time."""


@dataclass(frozen=True, slots=True)
class UploadIntent:
    """The metadata that a client declares before it sends a file. The file itself is checked when it has arrived."""

    filename: str
    description: str | None
    content_type: str
    size: int
    sha256: str | None
    custom_metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the file of a direct upload was refused: a code of domain.errors, and a sentence for the user."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """A direct or resumable upload that was initiated.

    While it is open, its size is reserved in the quota of its owner. It is open until it is completed, is refused, or
    has expired.
    """

    id: str
    owner_id: str
    filename: str
    description: str | None
    content_type: str
    size: int
    sha256: str | None
    expires_at: datetime
    is_open: bool = False
    parts_id: str | None = None
    """Set only for a resumable upload: the id of its parts in the store."""
    received: int = 0
    """How many bytes of a resumable upload are durable. It is `size` only once the image is durable."""
    holder: str | None = None
    """The id of the request that is sending bytes of a resumable upload."""
    version: int = 0
    """Changes with every write of `received` and `holder`, at least every few seconds while a request sends bytes."""
    refusal: Refusal | None = None
    """Why the latest file of a direct upload was refused. A later file may have been accepted."""
    custom_metadata: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key under which the file arrives."""
        return incoming_key(self.owner_id, self.id)
