"""Takes an upload's form in as it arrives: its file goes to a file without a name, hashed and recognised on the way."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, cast

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.api.middleware import allow_body
from app.core import filenames
from app.core.errors import (
    DependencyUnavailable,
    FieldError,
    FileEmpty,
    FileMissing,
    FileRepeated,
    MultipartInvalid,
    MultipartRequired,
    RequestInvalid,
    UploadStalled,
    UploadTooLarge,
)
from app.core.formats import SNIFF_BYTES, ImageFormat
from app.usecases.uploads import ReceivedFile

MAX_DESCRIPTION = 2000
"""Characters."""

_FORM_OVERHEAD = 64 * 1024
"""What boundaries, headers and the other fields may take beside the file."""
_MAX_PARTS = 32
_STALL_SECONDS = 60
"""How long an upload may stand still before its place is given up."""
_WRITE_BYTES = 256 * 1024
"""How much of the file gathers before a thread is asked to write it."""


class UploadForm:
    def __init__(self, *, max_bytes: int, folder: Path) -> None:
        self._max_bytes = max_bytes
        self._folder = folder

    @asynccontextmanager
    async def receive(
        self, request: Request, *, recognise: Callable[[bytes], ImageFormat]
    ) -> AsyncIterator[ReceivedFile]:
        """Read the form and yield its file, which is gone when the context ends.

        Reading stops at the first fault: MultipartRequired, MultipartInvalid, FileMissing, FileRepeated, FileEmpty,
        UploadTooLarge wherever Content-Length claims otherwise, RequestInvalid for the description, and whatever
        `recognise` raises once the file's first bytes are there.
        """
        boundary = _boundary(request)
        self._refuse_declared_length(request)
        allow_body(request.scope, max_bytes=self._max_bytes + 2 * _FORM_OVERHEAD)
        file = await asyncio.to_thread(_open_unnamed, self._folder)
        try:
            sink = _FileSink(file, max_bytes=self._max_bytes, recognise=recognise)
            form = _Form(boundary, sink, max_bytes=self._max_bytes + _FORM_OVERHEAD)
            async for chunk in _unstalled(request.stream()):
                form.feed(chunk)
                await sink.flush(at_least=_WRITE_BYTES)
            yield await form.finish()
        finally:
            await asyncio.to_thread(file.close)

    def _refuse_declared_length(self, request: Request) -> None:
        declared = int(request.headers.get("content-length", "0"))
        if declared > self._max_bytes + _FORM_OVERHEAD:
            raise _too_large(declared, self._max_bytes)


async def _unstalled(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(_STALL_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise UploadStalled from None
        if chunk is None:
            return
        yield chunk


def _open_unnamed(folder: Path) -> BinaryIO:
    """Return a file that is gone, whatever happens, with the process or once it is closed."""
    return cast("BinaryIO", tempfile.TemporaryFile(dir=folder, buffering=0))


def _boundary(request: Request) -> bytes:
    media_type, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not boundary:
        raise MultipartRequired
    return boundary


def _filename(given: bytes) -> str:
    # Browsers write these three characters so in a form, and no others (WHATWG HTML, multipart/form-data encoding).
    for written, meant in ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n")):
        given = given.replace(written, meant)
    return filenames.clean(given.decode("utf-8", "replace"))


def _too_large(size: int | None, max_bytes: int) -> UploadTooLarge:
    limit = f"the limit is {_megabytes(max_bytes)}"
    return UploadTooLarge(f"The file is {_megabytes(size)}; {limit}." if size else f"The file is too large; {limit}.")


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.1f}".removesuffix(".0") + " MB"


class _FileSink:
    """Where the file's bytes go. Only `flush` writes, in a thread; `add` never waits."""

    def __init__(self, file: BinaryIO, *, max_bytes: int, recognise: Callable[[bytes], ImageFormat]) -> None:
        self.file = file
        self.size = 0
        self.format: ImageFormat | None = None
        self._max_bytes = max_bytes
        self._recognise = recognise
        self._pending = bytearray()
        self._sha256 = hashlib.sha256()

    def add(self, data: memoryview) -> None:
        self.size += len(data)
        if self.size > self._max_bytes:
            raise _too_large(None, self._max_bytes)
        self._pending += data
        if self.format is None and len(self._pending) >= SNIFF_BYTES:
            self._sniff()

    def _sniff(self) -> None:
        self.format = self._recognise(bytes(self._pending[:SNIFF_BYTES]))

    async def flush(self, *, at_least: int) -> None:
        if len(self._pending) >= at_least:
            pending, self._pending = self._pending, bytearray()
            await asyncio.to_thread(self._write, pending)

    def _write(self, data: bytearray) -> None:
        self._sha256.update(data)
        rest = memoryview(data)
        try:
            while rest:  # an unbuffered file may take less than it was given
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            raise DependencyUnavailable("disk") from error

    async def finish(self) -> tuple[ImageFormat, str]:
        """Return the file's format and its SHA-256 (hex); all of it is in the file then."""
        if self.format is None:
            self._sniff()
        await self.flush(at_least=1)
        assert self.format is not None  # noqa: S101 - _sniff sets it or raises
        return self.format, self._sha256.hexdigest()


class _Form:
    """Tells the form's parts apart and gathers what is wanted of them."""

    def __init__(self, boundary: bytes, sink: _FileSink, *, max_bytes: int) -> None:
        self._sink = sink
        self._max_bytes = max_bytes
        self._taken = 0
        self._parts = 0
        self._ended = False
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._filename: bytes | None = None
        self._description: bytearray | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_content,
                    "on_part_data": self._add_content,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise MultipartInvalid from error

    def feed(self, chunk: bytes) -> None:
        self._taken += len(chunk)
        if self._taken > self._max_bytes:
            raise UploadTooLarge("The form is larger than a file within the limit needs.")
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MultipartInvalid from error

    async def finish(self) -> ReceivedFile:
        if not self._ended:
            raise MultipartInvalid
        if self._filename is None:
            raise FileMissing
        if self._sink.size == 0:
            raise FileEmpty
        image_format, sha256 = await self._sink.finish()
        return ReceivedFile(
            file=self._sink.file,
            size=self._sink.size,
            sha256=sha256,
            format=image_format,
            filename=_filename(self._filename),
            description=self._read_description(),
        )

    def _read_description(self) -> str | None:
        if not self._description:
            return None
        try:
            text = self._description.decode()
        except UnicodeDecodeError:
            raise RequestInvalid(errors=[FieldError("body.description", "Must be UTF-8")]) from None
        if len(text) > MAX_DESCRIPTION:
            message = f"Must have at most {MAX_DESCRIPTION} characters"
            raise RequestInvalid(errors=[FieldError("body.description", message)])
        return text

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise MultipartInvalid(f"The form has more than {_MAX_PARTS} parts.")
        self._headers = {}

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)

    def _begin_content(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise MultipartInvalid("A part has no Content-Disposition: form-data with a name.")
        encoding = self._headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if encoding not in (b"7bit", b"8bit", b"binary"):
            raise MultipartInvalid("Send the file as it is: Content-Transfer-Encoding is not used in forms (RFC 7578).")
        self._name = options[b"name"]
        if self._name == b"file":
            if self._filename is not None:
                raise FileRepeated
            self._filename = options.get(b"filename", b"")
        elif self._name == b"description":
            self._description = bytearray()

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        if self._name == b"file":
            self._sink.add(memoryview(data)[start:end])
        elif self._name == b"description" and self._description is not None:
            self._description += data[start:end]

    def _end(self) -> None:
        self._ended = True
