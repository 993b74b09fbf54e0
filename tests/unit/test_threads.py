"""What is begun on the disk is waited for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.core.errors import DependencyUnavailable
from app.core.threads import on_disk


async def test_a_cancellation_goes_on_only_once_the_thread_is_done():
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        may_end.wait(10)
        ended.set()

    task = asyncio.create_task(on_disk(write))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, may_end.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_disk_that_fails_is_a_dependency_that_does():
    def write() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DependencyUnavailable) as raised:
        await on_disk(write)
    assert raised.value.dependency == "disk"
