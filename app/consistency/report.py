"""What one reconcile run found and did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ReconcileReport:
    images: int = 0
    objects: int = 0
    unreferenced: int = 0
    """Objects that no record refers to and whose grace period has not ended."""
    unreferenced_deleted: int = 0
    """Such objects that were deleted after their grace period."""
    deletions_withheld: int = 0
    """Originals whose grace period has ended and that were kept because there are too many (see `confirm`)."""
    deleted_finished: int = 0
    """Remaining objects of images and accounts that users had deleted, which were deleted now."""
    records_lost: int = 0
    """Records whose original is missing and whose grace period has not ended."""
    records_removed: int = 0
    """Such records that were removed after their grace period."""
    records_kept: int = 0
    """Such records that were kept because there are too many (see `confirm`)."""
    thumbnails_failed: int = 0
    """Thumbnails that were missing and are marked `failed` now."""
    sidecars_written: int = 0
    """Sidecars that were missing and were written, as for images that are older than sidecars."""
    expired_deleted: int = 0
    """Direct uploads that were never completed, and exports that are a week old."""
