"""Lets a backup pause the deletion of objects, in every process that uses the same folder.

The pause is a lock of the operating system, so it ends with the process that holds it, however that process ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WAIT_SECONDS = 60
_PAUSE_SECONDS = 0.05


class DeletionPaused(OSError):
    """A backup is running, so that objects cannot be deleted now."""


@contextmanager
def deleting(folder: Path) -> Iterator[None]:
    """Keep a pause from beginning while objects are deleted. Raises DeletionPaused during a pause."""
    with _opened(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeletionPaused("a backup is running: objects are deleted after it") from None
        yield


@contextmanager
def deletion_paused(folder: Path) -> Iterator[None]:
    """Wait for running deletions, then prevent others. Raises TimeoutError if another backup is running."""
    deadline = time.monotonic() + _WAIT_SECONDS
    with _opened(folder) as lock:
        while not _is_locked(lock):
            if time.monotonic() > deadline:
                raise TimeoutError("Another backup is running. Wait until it has ended.")
            time.sleep(_PAUSE_SECONDS)
        yield


def _is_locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield lock
    finally:
        os.close(lock)
