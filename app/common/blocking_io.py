"""Runs blocking file operations in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from app.domain.errors import DependencyUnavailable

P = ParamSpec("P")
T = TypeVar("T")


async def run_blocking_io(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` in a thread and return its result. If cancelled, raises only after the thread has finished.

    Raises what `function` raises, except DependencyUnavailable in place of OSError.
    """
    job = asyncio.get_running_loop().run_in_executor(None, partial(function, *args, **kwargs))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        # A thread cannot be stopped. The canceller will close the file, and its descriptor may then be reused.
        await asyncio.wait([job])
        job.exception()  # retrieved, so that asyncio does not log that it never was
        raise
    except OSError as error:
        raise DependencyUnavailable("disk") from error
