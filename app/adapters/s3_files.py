"""Between files and S3's bodies, block by block in threads, so that none is ever in memory as a whole."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from app.core.errors import UploadTooLarge
from app.core.threads import on_disk

if TYPE_CHECKING:
    from aiobotocore.response import StreamingBody


_BLOCK_BYTES = 1 << 18


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


async def receive(body: StreamingBody, fd: int, *, max_bytes: int) -> str:
    """Write the body over the file and return its SHA-256 (hex). Raises UploadTooLarge."""
    sink = _Sink(fd)
    async with body:  # left before its end, the connection is closed
        await on_disk(sink.clear)
        while block := await _read_block(body):
            if sink.size + len(block) > max_bytes:
                raise UploadTooLarge(f"The file is larger than {max_bytes:,} bytes.")
            await on_disk(sink.write, block)
    return sink.sha256()


async def _read_block(body: StreamingBody) -> bytes:
    """Return _BLOCK_BYTES, fewer at the end only: what comes at once may be a single packet."""
    block = bytearray()
    while len(block) < _BLOCK_BYTES and (chunk := await body.read(_BLOCK_BYTES - len(block))):
        block += chunk
    return bytes(block)


class _Sink:
    """Writes what arrives from the beginning of a file, and hashes it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._sha256 = hashlib.sha256()
        self.size = 0

    def clear(self) -> None:
        os.ftruncate(self._fd, 0)

    def write(self, block: bytes) -> None:
        self._sha256.update(block)
        rest = memoryview(block)
        while rest:
            written = os.pwrite(self._fd, rest, self.size)
            self.size += written
            rest = rest[written:]

    def sha256(self) -> str:
        return self._sha256.hexdigest()
