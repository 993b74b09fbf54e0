"""Temporary files for data that is being received. They have no name and disappear with the process."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, cast

from app.domain.errors import DependencyUnavailable

_NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
"""How file systems and kernels without O_TMPFILE refuse it."""


class TempFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def file(self) -> AsyncIterator[BinaryIO]:
        """Yield an empty, unbuffered file. Raises DependencyUnavailable."""
        opened = await asyncio.to_thread(self._open)
        try:
            yield opened
        finally:
            await asyncio.to_thread(opened.close)

    async def require_space(self, size: int) -> None:
        """Raise DependencyUnavailable if fewer than `size` bytes are free. This is a check, not a reservation."""
        free = (await asyncio.to_thread(shutil.disk_usage, self._folder)).free
        if free < size:
            raise DependencyUnavailable("disk")

    def _open(self) -> BinaryIO:
        try:
            return _open_without_name(self._folder)
        except OSError as error:
            raise DependencyUnavailable("disk") from error


def _open_without_name(folder: Path) -> BinaryIO:
    """Open a file that can be given a name later (linkat), if the operating and the file system support that."""
    try:
        # tempfile.TemporaryFile adds O_EXCL, which forbids a name.
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NOT_SUPPORTED:
            raise
        return cast("BinaryIO", tempfile.TemporaryFile(dir=folder, buffering=0))
    return cast("BinaryIO", os.fdopen(descriptor, "r+b", buffering=0))
