"""Leaves alone for a while what has failed several times in a row."""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    def __init__(
        self, *, failures: int = 5, open_seconds: float = 30, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    def try_enter(self) -> float:
        """Return 0 for whoever may try, otherwise how many seconds it is closed to all."""
        if self._failures < self._limit:
            return 0
        now = self._clock()
        if now < self._open_until:
            return self._open_until - now
        # One goes ahead. If it never tells how it went, another one may after the same time.
        self._open_until = now + self._open_seconds
        return 0

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._open_until = self._clock() + self._open_seconds
