"""What reconcile runs found out of step, and the state that one run leaves for the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """What reconcile runs found out of step about one image, and when each finding was first made (store time)."""

    owner_id: str
    image_id: str
    unreferenced: Mapping[str, datetime]
    """Objects that no record refers to: last part of the key, and when a run first saw the object."""
    lost_since: datetime | None
    """When a run first saw that the record's original is missing."""


@dataclass(frozen=True, slots=True)
class ReconcileState:
    """What one reconcile run leaves for the next. All times are store times."""

    run_id: str
    """The id of the latest run. The store holds an object of this name, which reveals that a table was restored."""
    unbroken_since: datetime
    """Grace periods that began before this time begin again at this time."""
    originals_deleted: Mapping[str, int]
    """How many unreferenced originals were deleted on each of the last seven days (`2026-11-30`)."""
