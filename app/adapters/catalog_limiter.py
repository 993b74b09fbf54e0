"""Whose turn it is to ask the catalogue: one count for all workers of a deployment, since all share its limit."""

from __future__ import annotations

import math
import random

from app.core.clock import Clock
from app.core.errors import CatalogUnavailable
from app.core.ports import AccountTable

_WINDOW_SECONDS = 60
_IN_A_WINDOW = 15
"""Open Food Facts allows as many product reads a minute and address."""
_JITTER_SECONDS = 10
_MAX_WAIT_SECONDS = 900
_WAITING = "Many products are being looked up. This one waits for its turn."


class CatalogLimiter:
    def __init__(self, table: AccountTable, *, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def take_turn(self, host: str) -> None:
        """Return if `host` may be asked now. Raises CatalogUnavailable, with the time until our turn."""
        now = self._clock()
        taken = await self._table.count_attempt(f"catalog#{host}", now=now, window_seconds=_WINDOW_SECONDS)
        if taken.count <= _IN_A_WINDOW:
            return
        # Whoever waits is spread over the windows to come: all at the end of this one would only meet there again.
        windows = (taken.count - _IN_A_WINDOW - 1) // _IN_A_WINDOW
        wait = (taken.resets_at - now).total_seconds() + windows * _WINDOW_SECONDS
        jitter = random.uniform(0, _JITTER_SECONDS)  # noqa: S311 # spreads retries
        retry_after = math.ceil(min(wait, _MAX_WAIT_SECONDS - _JITTER_SECONDS) + jitter)
        raise CatalogUnavailable(_WAITING, retry_after=retry_after, attempted=False)
