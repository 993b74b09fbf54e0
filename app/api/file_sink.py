"""Where a file's bytes go as they arrive: into a file without a name, counted, hashed and recognised on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO

from app.core.errors import FileEmpty, FormatUnsupported, UploadTooLarge
from app.core.formats import SNIFF_BYTES, ImageFormat
from app.core.threads import on_disk

_MEGABYTE = 1024 * 1024


class FileSink:
    """Where the file's bytes go. Only `flush` writes, in a thread; `add` never waits."""

    def __init__(
        self, file: BinaryIO, *, max_bytes: int, recognise: Callable[[bytes], ImageFormat] | None = None
    ) -> None:
        self._file = file
        self.size = 0
        self._format: ImageFormat | None = None
        self._refusal: FormatUnsupported | None = None
        self._max_bytes = max_bytes
        self._recognise = recognise
        self._pending = bytearray()
        self._sha256 = hashlib.sha256()

    def add(self, data: memoryview) -> None:
        self.size += len(data)
        if self.size > self._max_bytes:
            raise too_large(None, self._max_bytes)
        if self._refusal is not None:
            return
        self._pending += data
        if self._recognise and self._format is None and len(self._pending) >= SNIFF_BYTES:
            self._look(self._recognise)

    def _look(self, recognise: Callable[[bytes], ImageFormat]) -> None:
        try:
            self._format = recognise(bytes(self._pending[:SNIFF_BYTES]))
        except FormatUnsupported as error:
            # Only counted from here on: should it be too large as well, that is what its sender is told.
            self._refusal = error
            self._pending.clear()

    async def flush(self, *, at_least: int) -> None:
        if len(self._pending) >= at_least:
            pending, self._pending = self._pending, bytearray()
            await on_disk(self._write, pending)

    def _write(self, data: bytearray) -> None:
        self._sha256.update(data)
        rest = memoryview(data)
        while rest:  # an unbuffered file may take less than it was given
            rest = rest[self._file.write(rest) :]

    async def finish(self) -> None:
        """Write what is left. Raises FileEmpty, and what recognising a file this short raises."""
        if self.size == 0:
            raise FileEmpty
        if self._recognise and self._format is None and self._refusal is None:
            self._look(self._recognise)
        if self._refusal is not None:
            raise self._refusal
        await self.flush(at_least=1)

    @property
    def format(self) -> ImageFormat:
        """By content; known once a sink that recognises is finished."""
        assert self._format is not None  # noqa: S101 - finish() sets it or raises
        return self._format

    @property
    def sha256(self) -> str:
        """Hex, of what was written."""
        return self._sha256.hexdigest()


def too_large(size: int | None, max_bytes: int) -> UploadTooLarge:
    limit = f"the limit is {_megabytes(max_bytes)}"
    return UploadTooLarge(f"The file is {_megabytes(size)}; {limit}." if size else f"The file is too large; {limit}.")


def _megabytes(size: int) -> str:
    if size < _MEGABYTE:
        return f"{size:,} bytes"
    return f"{size / _MEGABYTE:.1f}".removesuffix(".0") + " MB"
