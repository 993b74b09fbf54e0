"""Makes the records of new images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from app.domain.accounts import User
from app.domain.formats import ImageFormat
from app.domain.ids import id_timestamp
from app.domain.images import Image, Source
from app.domain.renderings import Rendering
from app.services.rendered_thumbnails import ready_thumbnail


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A completely received file. `format` was detected from its first bytes."""

    file: BinaryIO
    size: int
    sha256: str
    format: ImageFormat
    filename: str
    description: str | None
    custom_metadata: dict[str, str] = field(default_factory=dict)
    uploaded_sha256: str | None = None
    """Of the file that the client sent, if this is a copy of it without some metadata."""


def new_image(user: User, image_id: str, received: ReceivedFile, rendering: Rendering, source: Source | None) -> Image:
    """Return the record of a received file, whose thumbnails have been rendered or whose header was read."""
    uploaded_at = id_timestamp(image_id)
    return Image(
        id=image_id,
        owner_id=user.id,
        filename=received.filename,
        description=received.description,
        content_type=received.format.content_type,
        size=received.size,
        sha256=received.sha256,
        width=rendering.width,
        height=rendering.height,
        uploaded_at=uploaded_at,
        placeholder=rendering.placeholder,
        thumbnails=tuple(ready_thumbnail(rendered) for rendered in rendering.thumbnails),
        source=source,
        metadata=rendering.metadata,
        custom_metadata=received.custom_metadata,
        uploaded_sha256=received.uploaded_sha256,
    )
