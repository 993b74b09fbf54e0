"""Sidecars: small objects beside the originals, from which a lost record can be rebuilt."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from app.core.errors import ImageMissing
from app.core.models import Image, Source
from app.core.ports import ImageTable, ObjectStore

MAX_BYTES = 64 * 1024
_CONTENT_TYPE = "application/json"
_TRIES = 5
"""How often a sidecar is written again because the record was edited meanwhile."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    filename: str
    description: str | None
    source: Source | None


async def write_sidecar(store: ObjectStore, image: Image) -> None:
    """Store what `image` says now."""
    await store.put(image.sidecar_key, _encode(image), content_type=_CONTENT_TYPE)


async def rewrite_sidecar(store: ObjectStore, images: ImageTable, image: Image) -> None:
    """Store what `image` says, or what the record says by then if it was edited meanwhile.

    Of several edits at once the last to be stored may be any of them, so each looks at the record once more.
    """
    for _ in range(_TRIES):
        await write_sidecar(store, image)
        try:
            current = await images.get(image.owner_id, image.id)
        except ImageMissing:
            await store.delete([image.sidecar_key])
            return
        if _encode(current) == _encode(image):
            return
        image = current


def read_sidecar(data: bytes) -> Sidecar:
    """Return what a sidecar says. Raises ValueError if these bytes are not one."""
    try:
        fields: dict[str, Any] = json.loads(data)
        source = fields["source"]
        return Sidecar(fields["filename"], fields["description"], Source(**source) if source else None)
    except (KeyError, TypeError) as error:
        raise ValueError("not a sidecar") from error


def _encode(image: Image) -> bytes:
    source = asdict(image.source) if image.source else None
    return json.dumps({"filename": image.filename, "description": image.description, "source": source}).encode()
