"""Stops calls to a dependency for a while after several consecutive failures."""

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
        """Return 0 if the caller may try, otherwise the number of seconds until a call is allowed."""
        if self._failures < self._limit:
            return 0
        now = self._clock()
        if now < self._open_until:
            return self._open_until - now
        # One caller may try. If it never reports a result, another one may try after the same time.
        self._open_until = now + self._open_seconds
        return 0

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._open_until = self._clock() + self._open_seconds
