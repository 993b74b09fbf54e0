"""What reconcile runs found out of step, and the state that one run leaves for the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """What reconcile runs found out of step about one image, and when each finding was first made (store time)."""

    owner_id: str
    image_id: str
    unreferenced: Mapping[str, datetime]
    """Objects that no record refers to: last part of the key, and when a run first saw the object."""
    lost_since: datetime | None
    """When a run first saw that the record's original is missing."""


class ReconcileStep(StrEnum):
    """The steps of a run, in this order."""

    COMPARE = "compare"
    """Compare the objects with the records of their owners."""
    OWNERS = "owners"
    """Check the records of owners without any object."""
    REVIEW = "review"
    """Check each recorded discrepancy again, and count those whose grace period has ended."""
    SETTLE = "settle"
    """Repair the discrepancies whose grace period has ended."""
    EXPIRE = "expire"
    """Delete the objects that are kept for a limited time only."""
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a step that remains to be done. One worker at a time works on it."""

    name: str
    """What the segment comprises, as defined by the step. It is unique within the step."""
    after: str = ""
    """The checkpoint: everything up to this position is done."""
    claim: str | None = None
    """Distinguishes the worker that is working on the segment from others; None if there is none."""
    leased_until: datetime | None = None
    """When another worker may take over, because the one with the claim seems to be dead."""


@dataclass(frozen=True, slots=True)
class ReconcileState:
    """The checkpoint of the current run, and what it leaves for the next. All times are store times."""

    run_id: str
    """The id of the latest run. The store holds an object of this name, which reveals that a table was restored."""
    unbroken_since: datetime
    """Grace periods that began before this time begin again at this time."""
    originals_deleted: Mapping[str, int]
    """How many unreferenced originals were deleted on each of the last seven days (`2026-11-30`)."""
    version: int = 0
    """Incremented by each save, so that concurrent saves do not undo each other."""
    started_at: datetime | None = None
    """When the run began. None only if it was recorded by a version without checkpoints, and is finished."""
    confirmed: bool = False
    """Whether an operator confirmed that suspiciously many objects or records may be deleted."""
    step: ReconcileStep = ReconcileStep.FINISHED
    segments: tuple[Segment, ...] = ()
    """What remains of the step."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What the run has found and done up to its checkpoints."""
