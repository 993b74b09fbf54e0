"""A clock that a test controls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@dataclass
class ManualClock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Advance the clock, for example by `seconds=5` or `days=1`."""
        self.now += timedelta(**duration)
