"""Tests of blocking file operations in threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.common.blocking_io import run_blocking_io
from app.domain.errors import DependencyUnavailable


async def test_a_cancellation_is_raised_only_after_the_thread_has_finished():
    started, may_finish, finished = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        started.set()
        may_finish.wait(300)
        finished.set()

    task = asyncio.create_task(run_blocking_io(write))
    await asyncio.to_thread(started.wait)
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, may_finish.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert finished.is_set()


async def test_an_error_of_the_operating_system_is_an_unavailable_dependency():
    def write() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DependencyUnavailable) as raised:
        await run_blocking_io(write)
    assert raised.value.dependency == "disk"


async def test_the_result_and_other_errors_are_those_of_the_function():
    assert await run_blocking_io(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await run_blocking_io(divmod, 7, 0)
