"""Keeps the lookups of all workers within the catalog's rate limit."""

from __future__ import annotations

import random

from app.common.rate_limit import RateLimit, RateLimiter
from app.domain.errors import CatalogUnavailable

_LIMIT = RateLimit("catalog", limit=15, window_seconds=60)
"""Open Food Facts allows 15 product requests per minute and address."""
_JITTER_SECONDS = 10
_MAX_WAIT_SECONDS = 900
_WAITING = "Many products are being looked up. This lookup waits for the rate limit of the catalog."


class CatalogRateLimiter:
    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    async def acquire(self, host: str) -> None:
        """Return if a request may be sent to `host` now. Raises CatalogUnavailable, with the time to wait."""
        wait = await self._limiter.count_and_wait(_LIMIT, host)
        if wait:
            jitter = random.uniform(0, _JITTER_SECONDS)  # noqa: S311 - spreads retries
            retry_after = round(min(wait, _MAX_WAIT_SECONDS - _JITTER_SECONDS) + jitter)
            raise CatalogUnavailable(_WAITING, retry_after=retry_after, attempted=False)
