"""Receives the bytes of one uploaded file: limits, hashes and writes them, and detects the format from the first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from fastapi import Request

from app.api.body_digests import BodyDigests
from app.api.middleware import allow_body
from app.common.blocking_io import run_blocking_io
from app.common.hashing_writer import BLOCK_BYTES, HashingWriter
from app.domain.errors import FileEmpty, FormatUnsupported, file_too_large
from app.domain.formats import SNIFF_BYTES, ImageFormat

_LARGEST_CHUNK = 1024 * 1024


async def read_body(request: Request, sink: UploadSink, *, max_bytes: int) -> None:
    """Read the body of the request, which is the file itself, into `sink`.

    Raises FileEmpty, UploadTooLarge, DigestMismatch and RequestMalformed.
    """
    digests = BodyDigests(request.headers)
    if (declared := int(request.headers.get("content-length", "0"))) > max_bytes:
        raise file_too_large(max_bytes, size=declared)
    # One more chunk is allowed, so that the limit of the sink, whose error message is better, applies first.
    allow_body(request.scope, max_bytes=max_bytes + _LARGEST_CHUNK)
    async for chunk in request.stream():
        digests.update(chunk)
        sink.add(memoryview(chunk))
        await sink.flush(at_least=BLOCK_BYTES)
    digests.verify()
    await sink.finish()


class UploadSink:
    """Collects the bytes of a file in memory (`add`), and writes them to the file in a thread (`flush`)."""

    def __init__(
        self, file: BinaryIO, *, max_bytes: int, detect_format: Callable[[bytes], ImageFormat] | None = None
    ) -> None:
        self._writer = HashingWriter(file.fileno(), max_bytes=max_bytes, too_large=partial(file_too_large, max_bytes))
        self._max_bytes = max_bytes
        self._detect_format = detect_format
        self._format: ImageFormat | None = None
        self._format_error: FormatUnsupported | None = None
        self._buffer = bytearray()
        self.size = 0

    def add(self, data: memoryview) -> None:
        """Add bytes. Raises UploadTooLarge if the file is larger than `max_bytes`."""
        self.size += len(data)
        if self.size > self._max_bytes:
            raise file_too_large(self._max_bytes)
        if self._format_error is None:
            self._buffer += data
            if self._format is None and len(self._buffer) >= SNIFF_BYTES:
                self._detect()

    async def flush(self, *, at_least: int) -> None:
        """Write the buffer if it has at least `at_least` bytes."""
        if len(self._buffer) >= at_least:
            block, self._buffer = self._buffer, bytearray()
            await run_blocking_io(self._writer.write, block)

    async def finish(self) -> None:
        """Write the rest of the buffer. Raises FileEmpty, and what `detect_format` raises."""
        if self.size == 0:
            raise FileEmpty
        if self._format is None and self._format_error is None:
            self._detect()
        if self._format_error is not None:
            raise self._format_error
        await self.flush(at_least=1)

    @property
    def format(self) -> ImageFormat:
        """The detected format, after `finish`."""
        assert self._format is not None  # noqa: S101 - finish() sets it or raises
        return self._format

    @property
    def sha256(self) -> str:
        """The digest (hex) of what was written."""
        return self._writer.sha256

    def _detect(self) -> None:
        if self._detect_format is None:
            return
        try:
            self._format = self._detect_format(bytes(self._buffer[:SNIFF_BYTES]))
        except FormatUnsupported as error:
            # The rest is only counted. If the file is also too large, UploadTooLarge takes precedence.
            self._format_error = error
            self._buffer.clear()
