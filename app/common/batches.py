"""Processes many items in batches, some of them concurrently, in constant memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def for_each_batch(
    items: AsyncIterator[T], handle: Callable[[Sequence[T]], Awaitable[None]], *, size: int, concurrency: int
) -> None:
    """Call `handle` with batches of `size` items, the last of which may be smaller, and wait for all calls.

    At most `concurrency` calls run at the same time. After the first error of a call or of `items`, the other calls are
    canceled and the error is raised.
    """
    slots = asyncio.Semaphore(concurrency)

    async def run(batch: Sequence[T]) -> None:
        try:
            await handle(batch)
        finally:
            slots.release()

    try:
        async with asyncio.TaskGroup() as group:
            batch: list[T] = []
            async for item in items:
                batch.append(item)
                if len(batch) == size:
                    await slots.acquire()
                    group.create_task(run(batch))
                    batch = []
            if batch:
                await slots.acquire()
                group.create_task(run(batch))
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
