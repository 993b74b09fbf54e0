"""Files without a name, for what is just arriving: they are gone with the process, whatever ends it."""

from __future__ import annotations

import asyncio
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

    def _open(self) -> BinaryIO:
        try:
            return cast("BinaryIO", tempfile.TemporaryFile(dir=self._folder, buffering=0))
        except OSError as error:
            raise DependencyUnavailable("disk") from error
