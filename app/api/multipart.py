"""Reads a multipart form that contains one file, part by part, as it arrives."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.api.middleware import allow_body
from app.api.upload_sink import UploadSink
from app.common.hashing_writer import BLOCK_BYTES
from app.domain import filenames
from app.domain.errors import (
    FieldError,
    FileMissing,
    FileRepeated,
    MultipartInvalid,
    MultipartRequired,
    RequestInvalid,
    file_too_large,
)

_FORM_OVERHEAD = 64 * 1024
"""Bytes allowed for boundaries, headers and the other fields, in addition to the file."""
_LARGEST_CHUNK = 1024 * 1024
_MAX_PARTS = 32
_MAX_FIELD = 16 * 1024
_MAX_HEADER = 16 * 1024
"""Generous, because filenames are truncated rather than refused."""


async def read_form(
    request: Request, begin_file: Callable[[dict[str, str]], UploadSink], *, max_bytes: int
) -> MultipartReader:
    """Read the whole form. Its file, of at most `max_bytes`, goes into the sink that `begin_file` returns.

    `begin_file` receives the fields that precede the file. Errors that it or the sink raises end the reading.
    Raises MultipartRequired, MultipartInvalid, FileMissing, FileRepeated, FileEmpty, UploadTooLarge and RequestInvalid.
    """
    boundary = _boundary(request)
    declared = int(request.headers.get("content-length", "0"))
    if declared > max_bytes + _FORM_OVERHEAD:
        raise file_too_large(max_bytes, size=declared)
    # One chunk of slack, so that the reader's own limit, whose error message is better, applies first.
    allow_body(request.scope, max_bytes=max_bytes + _FORM_OVERHEAD + _LARGEST_CHUNK)
    reader = MultipartReader(boundary, begin_file, max_bytes=max_bytes)
    async for chunk in request.stream():
        reader.feed(chunk)
        if reader.sink:
            await reader.sink.flush(at_least=BLOCK_BYTES)
    await reader.finish()
    return reader


def _boundary(request: Request) -> bytes:
    media_type, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not boundary:
        raise MultipartRequired
    return boundary


def _filename(raw: bytes) -> str:
    # Browsers percent-encode exactly these three characters in a form (WHATWG HTML, multipart/form-data encoding).
    for encoded, decoded in ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n")):
        raw = raw.replace(encoded, decoded)
    return filenames.clean(raw.decode("utf-8", "replace"))


class MultipartReader:
    """Separates the parts of a form: text fields, and one file."""

    def __init__(self, boundary: bytes, begin_file: Callable[[dict[str, str]], UploadSink], *, max_bytes: int) -> None:
        self.sink: UploadSink | None = None
        self._begin_file = begin_file
        self._max_bytes = max_bytes
        self._received = 0
        self._parts = 0
        self._ended = False
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._filename = b""
        self._in_file = False
        self._values: dict[str, bytearray] = {}
        self._value = bytearray()
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
                max_header_size=_MAX_HEADER,
            )
        except FormParserError as error:
            raise MultipartInvalid from error

    @property
    def filename(self) -> str:
        """The cleaned filename of the file."""
        return _filename(self._filename)

    @property
    def fields(self) -> dict[str, str]:
        """The text fields received so far. Raises RequestInvalid if one is not UTF-8."""
        return {name: _text(name, value) for name, value in self._values.items()}

    def feed(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received > self._max_bytes + _FORM_OVERHEAD:
            raise file_too_large(self._max_bytes)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MultipartInvalid from error

    async def finish(self) -> None:
        if not self._ended:
            raise MultipartInvalid
        if self.sink is None:
            raise FileMissing
        await self.sink.finish()

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
            raise MultipartInvalid("A part has no Content-Disposition: form-data header with a name.")
        encoding = self._headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if encoding not in (b"7bit", b"8bit", b"binary"):
            raise MultipartInvalid(
                "Send the file without a Content-Transfer-Encoding: RFC 7578 does not allow it in forms."
            )
        name = options[b"name"].decode("utf-8", "replace")
        self._in_file = name == "file"
        if not self._in_file:
            self._value = self._values[name] = bytearray()
            return
        if self.sink is not None:
            raise FileRepeated
        self._filename = options.get(b"filename", b"")
        self.sink = self._begin_file(self.fields)

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        if self._in_file and self.sink is not None:
            self.sink.add(memoryview(data)[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > _MAX_FIELD:
            raise MultipartInvalid(f"A field of the form has more than {_MAX_FIELD:,} bytes.")

    def _end(self) -> None:
        self._ended = True


def _text(name: str, value: bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise RequestInvalid(errors=[FieldError(f"body.{name}", "Must be UTF-8")]) from None
