"""Between files and S3's bodies, block by block in threads, so that none is ever in memory as a whole."""

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
    """`size` bytes of an open file from `start`, by positioned reads: it has a position of its own.

    aiohttp reads it chunk by chunk in threads, so that no file is ever in memory as a whole.
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
        left = self._size - self._position
        wanted = left if size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        data = os.pread(self._fd, wanted, self._start + self._position)
        if not data:
            # An early end would leave S3 waiting for the bytes that Content-Length has promised.
            raise EOFError("the file is shorter than it was said to be")
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
    async with body:  # closes the connection if the body was not read to its end
        await run_blocking_io(os.ftruncate, fd, 0)
        return await write_stream(body.iter_chunks(BLOCK_BYTES), writer)
