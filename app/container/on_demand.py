"""Opens a part of the service when it is first used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Generic, TypeVar

from app.common.blocking_io import run_blocking_io

T = TypeVar("T")
Open = Callable[[], AbstractAsyncContextManager[T]]


class OnDemand(Generic[T]):
    """Many installations never use the HTTP clients of some parts, which take a tenth of the time to start.

    `load` imports the modules, in another thread, and returns the function that opens the part. `stack` closes it.
    """

    def __init__(self, load: Callable[[], Open[T]], stack: AsyncExitStack) -> None:
        self._load = load
        self._stack = stack
        self._lock = asyncio.Lock()
        self._opened: T | None = None

    async def get(self) -> T:
        async with self._lock:
            if self._opened is None:
                open_part = await run_blocking_io(self._load)
                self._opened = await self._stack.enter_async_context(open_part())
            return self._opened
