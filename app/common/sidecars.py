"""Sidecars: small objects beside the originals that repeat the fields that only the records hold.

A lost record can be rebuilt from an original and its sidecar.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from app.domain.errors import ImageMissing
from app.domain.images import FocalPoint, Image, Source
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable

MAX_BYTES = 256 * 1024
_CONTENT_TYPE = "application/json"
_MAX_WRITES = 5
"""How often a sidecar is written again because the record was edited concurrently."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    filename: str
    description: str | None
    source: Source | None
    focal_point: FocalPoint | None = None
    custom_metadata: dict[str, str] = field(default_factory=dict)
    uploaded_sha256: str | None = None
    """Of the received file, if it lost metadata before it was stored."""


async def write_sidecar(store: ObjectStore, image: Image) -> None:
    """Store the sidecar of `image`. `ObjectStore.make_durable` has to follow."""
    await store.put(image.sidecar_key, _encode(image), content_type=_CONTENT_TYPE, durable=False)


async def rewrite_sidecar(store: ObjectStore, images: ImageTable, image: Image) -> None:
    """Store the sidecar of `image`, and again if the record was edited concurrently.

    Concurrent edits may store their sidecars in any order. Each edit therefore compares its sidecar with the record
    afterwards.
    """
    for _ in range(_MAX_WRITES):
        await write_sidecar(store, image)
        await store.make_durable([image.sidecar_key])
        try:
            current = await images.get(image.owner_id, image.id)
        except ImageMissing:
            await store.delete([image.sidecar_key])
            return
        if _encode(current) == _encode(image):
            return
        image = current


def read_sidecar(data: bytes) -> Sidecar:
    """Decode a sidecar. Raises ValueError if `data` is not one."""
    try:
        fields: dict[str, Any] = json.loads(data)
        source = fields["source"]
        focal_point = fields.get("focal_point")
        return Sidecar(
            filename=fields["filename"],
            description=fields["description"],
            source=Source(**source) if source else None,
            focal_point=FocalPoint(**focal_point) if focal_point else None,
            # Sidecars of earlier versions have none.
            custom_metadata=fields.get("custom_metadata", {}),
            uploaded_sha256=fields.get("uploaded_sha256"),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("not a sidecar") from error


def _encode(image: Image) -> bytes:
    source = asdict(image.source) if image.source else None
    fields = {
        "filename": image.filename,
        "description": image.description,
        "source": source,
        "custom_metadata": image.custom_metadata,
    }
    if image.focal_point:
        fields["focal_point"] = asdict(image.focal_point)
    if image.uploaded_sha256:
        fields["uploaded_sha256"] = image.uploaded_sha256
    return json.dumps(fields).encode()
