"""What the parts of a reconcile run share: the ports that they use, and what the run found."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from app.core.errors import ImageMissing
from app.core.models import Image, ThumbnailStatus
from app.core.ports import ImageTable, ObjectStore, OwnerTable, ReconcileTable, TombstoneTable
from app.usecases.deletions import Deletions


@dataclass(frozen=True, slots=True)
class Ports:
    store: ObjectStore
    images: ImageTable
    owners: OwnerTable
    tombstones: TombstoneTable
    table: ReconcileTable
    deletions: Deletions


@dataclass(slots=True)
class Findings:
    """What one run saw and did."""

    images: int = 0
    objects: int = 0
    unreferenced: int = 0
    """Objects that no record refers to and whose grace period is not over."""
    unreferenced_deleted: int = 0
    """Such objects that were deleted, because their grace period was over."""
    deletions_withheld: int = 0
    """Originals whose grace period is over and that were kept, because they are too many: see `confirm`."""
    deleted_finished: int = 0
    """Objects of images and accounts that their owners had deleted, deleted now."""
    records_lost: int = 0
    """Records whose original is missing and whose grace period is not over."""
    records_removed: int = 0
    """Such records that were removed, because their grace period was over."""
    records_kept: int = 0
    """Such records that were kept, because they are too many: see `confirm`."""
    thumbnails_failed: int = 0
    """Thumbnails that were gone, now marked `failed`."""
    sidecars_written: int = 0
    """Sidecars that were missing, as of images from before there were any."""
    expired_deleted: int = 0
    """Direct uploads that were sent and never completed, and exports that are a week old."""


async def find_record(images: ImageTable, owner_id: str, image_id: str) -> Image | None:
    try:
        return await images.get(owner_id, image_id)
    except ImageMissing:
        return None


def find_unreferenced(image: Image, keys: frozenset[str]) -> frozenset[str]:
    """Return the objects beside those that the record names; none while thumbnails are being made."""
    if any(thumbnail.status is not ThumbnailStatus.READY for thumbnail in image.thumbnails):
        return frozenset()
    return keys - set(image.object_keys)


def last_parts(keys: Collection[str]) -> frozenset[str]:
    return frozenset(key.rpartition("/")[2] for key in keys)
