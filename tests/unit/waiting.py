"""Waits for conditions for which there is no event. The time limit of the test limits the wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.005)
