"""Counts events, for rate limits and invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from app.domain.counters import WindowCount


class CounterTable(Protocol):
    """Counts events in fixed time windows."""

    async def increment(self, key: str, *, now: datetime, window_seconds: int) -> WindowCount:
        """Count one event under `key` and return the count of the current window.

        The first event opens a window of `window_seconds`; the first event after its end opens the next. No event is
        lost under concurrency.
        """
        ...

    async def current(self, key: str, *, now: datetime) -> int:
        """Return the count of the current window, 0 if there is none."""
        ...

    async def reset(self, key: str) -> None:
        """Forget the events counted under `key`."""
        ...
