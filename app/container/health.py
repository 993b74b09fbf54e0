"""The checks of `/health/ready`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from app.common.temp_files import TempFiles
from app.container.backends import Storage, Tables
from app.ports.queue import JobQueue
from app.settings import Settings

Check = Callable[[], Awaitable[None]]

_WRITE_SECONDS = 10
_MARGIN_BYTES = 64 * 1024 * 1024
"""Free space beyond the largest upload, for thumbnails and the database."""


def health_checks(
    settings: Settings, storage: Storage, tables: Tables, queue: JobQueue, temp_files: TempFiles
) -> Mapping[str, Check]:
    """Return the checks by the name that `/health/ready` reports.

    The checks of a disk and of SQLite write, so they run at most once in 10 seconds, however often they are called.
    """
    needed = settings.max_file_size + _MARGIN_BYTES
    store, table = storage.store.check, tables.images.check
    return {
        "store": at_most_every(_WRITE_SECONDS, store) if settings.storage == "disk" else store,
        "table": at_most_every(_WRITE_SECONDS, table) if settings.tables == "sqlite" else table,
        "queue": queue.check,
        "disk": lambda: temp_files.require_space(needed),
    }


def at_most_every(seconds: float, check: Check, *, clock: Callable[[], float] = time.monotonic) -> Check:
    """Return a check that repeats the result of `check` until it is `seconds` old."""
    lock = asyncio.Lock()
    checked_at: float | None = None
    failure: Exception | None = None

    async def cached() -> None:
        nonlocal checked_at, failure
        async with lock:
            if checked_at is None or clock() - checked_at >= seconds:
                failure = None
                try:
                    await check()
                except Exception as error:  # noqa: BLE001 - it is raised below, as often as needed
                    failure = error
                checked_at = clock()
        if failure:
            raise failure

    return cached
