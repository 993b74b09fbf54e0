"""Reads a form with one file in it, part by part, as it arrives."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.api.file_sink import FileSink, too_large
from app.api.middleware import allow_body
from app.core import filenames
from app.core.errors import (
    FieldError,
    FileMissing,
    FileRepeated,
    MultipartInvalid,
    MultipartRequired,
    RequestInvalid,
)

_FORM_OVERHEAD = 64 * 1024
"""What boundaries, headers and the other fields may take beside the file."""
_LARGEST_CHUNK = 1024 * 1024
_MAX_PARTS = 32
_MAX_FIELD = 16 * 1024
_MAX_HEADER = 16 * 1024
"""Filenames are cut short, not refused."""
_WRITE_BYTES = 256 * 1024
"""How much of the file gathers before a thread is asked to write it."""


async def read_form(request: Request, begin_file: Callable[[dict[str, str]], FileSink], *, max_bytes: int) -> Form:
    """Read a form to its end, with one file of at most `max_bytes`, which goes where `begin_file` says.

    `begin_file` gets the fields that came before the file; it and the sink may raise what ends the reading.
    """
    boundary = _boundary(request)
    declared = int(request.headers.get("content-length", "0"))
    if declared > max_bytes + _FORM_OVERHEAD:
        raise too_large(declared, max_bytes)
    # Beyond any chunk past the form's own limit, which knows better what to say.
    allow_body(request.scope, max_bytes=max_bytes + _FORM_OVERHEAD + _LARGEST_CHUNK)
    form = Form(boundary, begin_file, max_bytes=max_bytes)
    async for chunk in request.stream():
        form.feed(chunk)
        if form.sink:
            await form.sink.flush(at_least=_WRITE_BYTES)
    await form.finish()
    return form


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


class Form:
    """Tells the form's parts apart: text fields, and one file."""

    def __init__(self, boundary: bytes, begin_file: Callable[[dict[str, str]], FileSink], *, max_bytes: int) -> None:
        self.sink: FileSink | None = None
        self._begin_file = begin_file
        self._max_bytes = max_bytes
        self._taken = 0
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
        """As its sender may see it again."""
        return _filename(self._filename)

    @property
    def fields(self) -> dict[str, str]:
        """The text fields that have come so far. Raises RequestInvalid for one that is not UTF-8."""
        return {name: _text(name, value) for name, value in self._values.items()}

    def feed(self, chunk: bytes) -> None:
        self._taken += len(chunk)
        if self._taken > self._max_bytes + _FORM_OVERHEAD:
            raise too_large(None, self._max_bytes)
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
            raise MultipartInvalid("A part has no Content-Disposition: form-data with a name.")
        encoding = self._headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if encoding not in (b"7bit", b"8bit", b"binary"):
            raise MultipartInvalid("Send the file as it is: Content-Transfer-Encoding is not used in forms (RFC 7578).")
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
