"""Disk work in threads, which nobody can stop: it is waited for, whatever becomes of whoever asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from app.core.errors import DependencyUnavailable

P = ParamSpec("P")
T = TypeVar("T")


async def on_disk(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` in a thread; a cancellation goes on once that is done.

    Raises what it raises, DependencyUnavailable for OSError.
    """
    job = asyncio.get_running_loop().run_in_executor(None, partial(function, *args, **kwargs))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        # Whoever cancels closes the file next, and its number may be another file's then.
        await asyncio.wait([job])
        job.exception()  # asked for, or asyncio logs that nobody did
        raise
    except OSError as error:
        raise DependencyUnavailable("disk") from error
