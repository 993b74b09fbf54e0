"""Slices: how much of a segment of a reconcile run one worker does between two checkpoints."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from datetime import datetime

from app.consistency.report import ReconcileReport
from app.domain.reconciliation import ReconcileState, Segment


@dataclass(slots=True)
class SliceReport(ReconcileReport):
    """What one slice found and did. The slices of a run are added up."""

    originals_due: int = 0
    """Unreferenced originals whose grace period has ended."""
    lost_due: int = 0
    """Records without an original whose grace period has ended."""


@dataclass(slots=True)
class Slice:
    state: ReconcileState
    """The run, at the beginning of the slice."""
    segment: Segment
    """The claimed segment."""
    now: datetime
    """Store time at the beginning of the slice. It may be much later than the beginning of the run."""
    ends_at: float
    """Monotonic time."""
    after: str
    """Everything up to this position is done, and counted in `report`."""
    report: SliceReport = field(default_factory=SliceReport)
    done: bool = False
    """Whether nothing remains of the segment."""

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.ends_at

    def add_to(self, counts: dict[str, int]) -> None:
        for name, count in dataclasses.asdict(self.report).items():
            counts[name] = counts.get(name, 0) + count
