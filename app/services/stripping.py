"""Makes copies of files without some of their metadata."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from app.common.temp_files import TempFiles
from app.domain.accounts import User
from app.domain.renderings import Stripping
from app.ports.renderer import Inspector
from app.services.new_images import ReceivedFile


class Strip:
    def __init__(self, inspector: Inspector, temp_files: TempFiles, *, stripping: Stripping) -> None:
        self._inspector = inspector
        self._temp_files = temp_files
        self._stripping = stripping

    @asynccontextmanager
    async def __call__(self, user: User, received: ReceivedFile) -> AsyncIterator[ReceivedFile]:
        """Yield a copy of the file without the metadata, or the file itself if there is nothing to remove.

        Raises what `Inspector.strip` raises. The image belongs to `user`.
        """
        await self._temp_files.require_space(received.size)
        async with self._temp_files.file() as file:
            stripped = await self._inspector.strip(received.file, file, stripping=self._stripping, owner_id=user.id)
            if stripped is None:
                yield received
            else:
                yield replace(
                    received,
                    file=file,
                    size=stripped.size,
                    sha256=stripped.sha256,
                    uploaded_sha256=received.sha256,
                )
