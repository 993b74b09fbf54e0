"""Temporary files for data that is being received. They have no name and disappear with the process."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, cast

from app.domain.errors import DependencyUnavailable


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
            return cast("BinaryIO", tempfile.TemporaryFile(dir=self._folder, buffering=0))
        except OSError as error:
            raise DependencyUnavailable("disk") from error
