"""Writes incoming data to a file, hashes it, and limits its size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable

from app.common.blocking_io import run_blocking_io
from app.domain.errors import AppError

BLOCK_BYTES = 256 * 1024
"""How much data is collected before a thread writes it."""


class HashingWriter:
    """Writes to a file descriptor from its beginning. Its methods block: on the event loop, use `write_stream`."""

    def __init__(self, fd: int, *, max_bytes: int, too_large: Callable[[], AppError]) -> None:
        """`too_large` returns the error to raise for more than `max_bytes`."""
        self._fd = fd
        self._max_bytes = max_bytes
        self._too_large = too_large
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.size + len(data) > self._max_bytes:
            raise self._too_large()
        self._digest.update(data)
        rest = memoryview(data)
        while rest:  # the operating system may write less than it was given
            written = os.pwrite(self._fd, rest, self.size)
            self.size += written
            rest = rest[written:]

    @property
    def sha256(self) -> str:
        """The digest (hex) of what was written so far."""
        return self._digest.hexdigest()


async def write_stream(chunks: AsyncIterator[bytes], writer: HashingWriter) -> str:
    """Write all chunks in threads, in large blocks, and return their SHA-256 (hex)."""
    block = bytearray()
    async for chunk in chunks:
        block += chunk
        if len(block) >= BLOCK_BYTES:
            await run_blocking_io(writer.write, block)
            block = bytearray()
    await run_blocking_io(writer.write, block)
    return writer.sha256
