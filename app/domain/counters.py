"""Counts of events in a time window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class WindowCount:
    count: int
    """Events in the current window."""
    resets_at: datetime
    """When the current window ends."""
