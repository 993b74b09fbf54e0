"""Watches a record until it is over; the record is asked, since whoever changes it may be another process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 1.0

T = TypeVar("T")


async def watch(read: Callable[[], Awaitable[T]], *, is_over: Callable[[T], bool], seconds: float) -> AsyncIterator[T]:
    """Yield what `read` returns, and again whenever that is different, until it is over or the time is.

    Raises what `read` raises.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    pause = _FIRST_PAUSE_SECONDS
    seen = await read()
    yield seen
    while not is_over(seen) and (left := end - loop.time()) > 0:
        await asyncio.sleep(min(pause, left))
        pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)
        now = await read()
        if now != seen:
            seen, pause = now, _FIRST_PAUSE_SECONDS
            yield seen
