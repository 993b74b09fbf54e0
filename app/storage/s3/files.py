"""Copies between files and the bodies of S3 requests, in blocks and in threads. Memory use is constant."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from app.common.blocking_io import run_blocking_io
from app.common.hashing_writer import BLOCK_BYTES, HashingWriter, write_stream
from app.domain.errors import file_too_large

if TYPE_CHECKING:
    from aiobotocore.response import StreamingBody


class FileSlice(io.RawIOBase):
    """A file-like view of `size` bytes of an open file from `start`, with its own position (positioned reads).

    aiohttp reads it in chunks and in threads, so that memory use is constant.
    """

    def __init__(self, fd: int, *, start: int, size: int) -> None:
        self._fd = fd
        self._start = start
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        remaining = self._size - self._position
        length = remaining if size < 0 else min(size, remaining)
        if length <= 0:
            return b""
        data = os.pread(self._fd, length, self._start + self._position)
        if not data:
            # If the body ended early, S3 would wait for the remaining bytes of Content-Length.
            raise EOFError("the file is shorter than its declared size")
        self._position += len(data)
        return data

    def sha256(self) -> bytes:
        digest = hashlib.sha256()
        for chunk in self._chunks():
            digest.update(chunk)
        self.seek(0)
        return digest.digest()

    def _chunks(self) -> Iterable[bytes]:
        return iter(lambda: self.read(1 << 18), b"")


async def save_to_file(body: StreamingBody, fd: int, *, max_bytes: int) -> str:
    """Overwrite the file with the body of a response, and return its SHA-256 (hex). Raises UploadTooLarge."""
    writer = HashingWriter(fd, max_bytes=max_bytes, too_large=lambda: file_too_large(max_bytes))
    async with body:  # Closes the connection if the body was not read completely.
        await run_blocking_io(os.ftruncate, fd, 0)
        return await write_stream(body.iter_chunks(BLOCK_BYTES), writer)
