"""Rate limits in fixed time windows, shared by all processes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from app.common.signing import sign
from app.domain.counters import WindowCount
from app.domain.errors import TooManyAttempts
from app.ports.clock import Clock
from app.ports.counter_table import CounterTable


@dataclass(frozen=True, slots=True)
class RateLimit:
    purpose: str
    limit: int
    window_seconds: int


class RateLimiter:
    def __init__(self, table: CounterTable, *, key: bytes, clock: Clock) -> None:
        """`key` keeps the subjects secret: the table stores tags, so that it does not show whose events they are."""
        self._table = table
        self._key = key
        self._clock = clock

    async def count(self, limit: RateLimit, *subject: str) -> None:
        """Count one event. Raises TooManyAttempts, with the seconds until the window ends, if the limit is exceeded."""
        counted = await self._increment(limit, subject)
        if counted.count > limit.limit:
            raise TooManyAttempts(retry_after=self._seconds_until(counted.resets_at))

    async def count_and_wait(self, limit: RateLimit, *subject: str) -> int:
        """Count one event. Return 0 if it is within the limit, otherwise the seconds to wait before trying again.

        Events over the limit are spread over the windows that follow: as many per window as the limit allows.
        """
        counted = await self._increment(limit, subject)
        if counted.count <= limit.limit:
            return 0
        windows = (counted.count - limit.limit - 1) // limit.limit
        return self._seconds_until(counted.resets_at) + windows * limit.window_seconds

    async def has_counted(self, limit: RateLimit, *subject: str) -> bool:
        """Return whether any event was counted in the current window."""
        return await self._table.current(self._tag(limit, subject), now=self._clock()) > 0

    async def reset(self, limit: RateLimit, *subject: str) -> None:
        """Forget the events of the current window."""
        await self._table.reset(self._tag(limit, subject))

    def _tag(self, limit: RateLimit, subject: tuple[str, ...]) -> str:
        return sign(self._key, "\n".join((limit.purpose, *subject)).encode("utf-8", "surrogatepass"))

    async def _increment(self, limit: RateLimit, subject: tuple[str, ...]) -> WindowCount:
        tag = self._tag(limit, subject)
        return await self._table.increment(tag, now=self._clock(), window_seconds=limit.window_seconds)

    def _seconds_until(self, moment: datetime) -> int:
        return max(1, math.ceil((moment - self._clock()).total_seconds()))
