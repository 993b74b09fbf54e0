"""Runs coroutines concurrently, and decides what happens to the others when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def gather_all(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Wait for all coroutines, then raise the first exception, if there is one.

    For small objects that are deleted after an error. A store may still carry out a request that was canceled, after
    the deletion, and the object would remain until a reconcile run.
    """
    for result in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def gather_or_cancel(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run all coroutines concurrently. The first failure cancels the others, and is raised when they have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
