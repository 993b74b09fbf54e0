"""Files without a name, for what is just arriving: they are gone with the process, whatever ends it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, cast

from app.core.errors import DependencyUnavailable


class Spool:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def file(self) -> AsyncIterator[BinaryIO]:
        """Yield an empty file, unbuffered. Raises DependencyUnavailable."""
        opened = await asyncio.to_thread(self._open)
        try:
            yield opened
        finally:
            await asyncio.to_thread(opened.close)

    async def require_room(self, size: int) -> None:
        """Raises DependencyUnavailable if there is less room than that; what comes meanwhile is nobody's promise."""
        free = (await asyncio.to_thread(shutil.disk_usage, self._folder)).free
        if free < size:
            raise DependencyUnavailable("disk")

    def _open(self) -> BinaryIO:
        try:
            return cast("BinaryIO", tempfile.TemporaryFile(dir=self._folder, buffering=0))
        except OSError as error:
            raise DependencyUnavailable("disk") from error
