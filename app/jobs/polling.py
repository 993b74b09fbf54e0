"""Follows the changes of a record by reading it repeatedly, since another process may change it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

_FIRST_PAUSE_SECONDS = 0.25
_MAX_PAUSE_SECONDS = 1.0

T = TypeVar("T")


async def poll_changes(
    read: Callable[[], Awaitable[T]], *, is_final: Callable[[T], bool], seconds: float
) -> AsyncIterator[T]:
    """Yield what `read` returns, then each different value, until a value is final or the time has passed.

    Raises what `read` raises.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    pause = _FIRST_PAUSE_SECONDS
    latest = await read()
    yield latest
    while not is_final(latest) and (remaining := end - loop.time()) > 0:
        await asyncio.sleep(min(pause, remaining))
        pause = min(_MAX_PAUSE_SECONDS, 2 * pause)
        current = await read()
        if current != latest:
            latest, pause = current, _FIRST_PAUSE_SECONDS
            yield latest
