"""What the parts of a reconcile run share: the ports that they use, and how they look at an image."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from app.common.object_deletion import ObjectDeletion
from app.common.webhook_events import WebhookEvents
from app.domain.errors import ImageMissing
from app.domain.images import Image, ThumbnailStatus
from app.domain.object_keys import is_rendered_on_demand
from app.ports.admin_tables import OwnerIndex
from app.ports.consistency_tables import ReconcileTable
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable, OwnerTable, TombstoneTable


@dataclass(frozen=True, slots=True)
class ReconcilePorts:
    store: ObjectStore
    images: ImageTable
    owners: OwnerTable
    tombstones: TombstoneTable
    table: ReconcileTable
    deletion: ObjectDeletion
    owner_index: OwnerIndex
    events: WebhookEvents


async def find_record(images: ImageTable, owner_id: str, image_id: str) -> Image | None:
    try:
        return await images.get(owner_id, image_id)
    except ImageMissing:
        return None


def find_unreferenced(image: Image, keys: frozenset[str]) -> frozenset[str]:
    """Return the keys that do not belong to the record; none while thumbnails are being rendered."""
    if any(thumbnail.status is not ThumbnailStatus.READY for thumbnail in image.thumbnails):
        return frozenset()
    return frozenset(key for key in keys - set(image.object_keys) if not is_rendered_on_demand(key))


def last_parts(keys: Collection[str]) -> frozenset[str]:
    return frozenset(key.rpartition("/")[2] for key in keys)
