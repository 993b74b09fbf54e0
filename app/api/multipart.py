"""Reads a multipart form that contains one file, part by part, as it arrives."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.api.body_digests import BodyDigests
from app.api.disposition import parse_filename
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

_FORM_OVERHEAD = 128 * 1024
"""Bytes allowed for boundaries, headers and the other fields, in addition to the file."""
_LARGEST_CHUNK = 1024 * 1024
_MAX_PARTS = 32
_MAX_FIELD = 64 * 1024
_MAX_HEADER = 16 * 1024
"""Generous, because filenames are truncated rather than refused."""

_BeginFile = Callable[[dict[str, str]], UploadSink]


async def read_form(request: Request, begin_file: _BeginFile, *, max_bytes: int) -> MultipartReader:
    """Read the whole form. Its file, of at most `max_bytes`, goes into the sink that `begin_file` returns.

    `begin_file` receives the fields that precede the file. Errors that it or the sink raises end the reading.
    Raises MultipartRequired, MultipartInvalid, FileMissing, FileRepeated, FileEmpty, UploadTooLarge, RequestInvalid,
    DigestMismatch and RequestMalformed.
    """
    boundary = _boundary(request)
    digests = BodyDigests(request.headers)
    declared = int(request.headers.get("content-length", "0"))
    if declared > max_bytes + _FORM_OVERHEAD:
        raise file_too_large(max_bytes, size=declared)
    # One chunk of slack, so that the reader's own limit, whose error message is better, applies first.
    allow_body(request.scope, max_bytes=max_bytes + _FORM_OVERHEAD + _LARGEST_CHUNK)
    reader = MultipartReader(boundary, begin_file, max_bytes=max_bytes)
    async for chunk in request.stream():
        digests.update(chunk)
        reader.feed(chunk)
        if reader.sink:
            await reader.sink.flush(at_least=BLOCK_BYTES)
    digests.verify()
    await reader.finish()
    return reader


def _boundary(request: Request) -> bytes:
    media_type, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not boundary:
        raise MultipartRequired
    return boundary


class MultipartReader:
    """Separates the parts of a form: text fields, and one file."""

    def __init__(self, boundary: bytes, begin_file: _BeginFile, *, max_bytes: int) -> None:
        self.sink: UploadSink | None = None
        self.filename = filenames.FALLBACK
        """The cleaned filename of the file."""
        self._begin_file = begin_file
        self._max_bytes = max_bytes
        self._received = 0
        self._parts = 0
        self._ended = False
        self._delimiter = b"--" + boundary
        self._preamble: bytearray | None = bytearray()
        self._has_preamble = False
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._in_file = False
        self._values: dict[str, bytearray] = {}
        self._value: bytearray | None = None
        self._text_of_file: bytearray | None = None
        """The content of a part named `file` that may be text: it has neither a filename nor a content type."""
        self._other_files: list[str] = []
        """Files in fields of other names. Their content is discarded."""
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
    def fields(self) -> dict[str, str]:
        """The text fields received so far. Raises RequestInvalid if one is not UTF-8."""
        return {name: _text(name, value) for name, value in self._values.items()}

    def feed(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received > self._max_bytes + _FORM_OVERHEAD:
            raise file_too_large(self._max_bytes)
        try:
            self._parser.write(self._skip_preamble(chunk))
        except FormParserError as error:
            raise MultipartInvalid from error

    async def finish(self) -> None:
        if not self._ended or (self._has_preamble and not self._parts):
            raise MultipartInvalid
        if self.sink is None and self._text_of_file and not _is_text(self._text_of_file):
            self._start_file(bytes(self._text_of_file))
        if self.sink is None:
            raise FileMissing(_describe_missing_file(self._text_of_file, self._other_files))
        if self._other_files:
            raise _repeated(f"`file` ({self.filename})", *self._other_files)
        await self.sink.finish()

    def _skip_preamble(self, chunk: bytes) -> bytes:
        """Return what follows the preamble, which a form may have before its first part (RFC 2046 section 5.1.1)."""
        if self._preamble is None:
            return chunk
        self._preamble += chunk
        start = 0 if self._preamble.startswith(self._delimiter) else self._preamble.find(b"\r\n" + self._delimiter)
        if start < 0:
            if len(self._preamble) > _FORM_OVERHEAD:
                raise MultipartInvalid("The body does not contain the boundary that Content-Type declares.")
            return b""
        self._has_preamble = start > 0
        form, self._preamble = bytes(self._preamble[start:]), None
        return form

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
        header = self._headers.get(b"content-disposition", b"")
        disposition, options = parse_options_header(header)
        if disposition != b"form-data" or b"name" not in options:
            raise MultipartInvalid("A part has no Content-Disposition: form-data header with a name.")
        encoding = self._headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if encoding not in (b"7bit", b"8bit", b"binary"):
            raise MultipartInvalid(
                "Send the file without a Content-Transfer-Encoding: RFC 7578 does not allow it in forms."
            )
        name = options[b"name"].decode("utf-8", "replace")
        filename = parse_filename(header)
        self._in_file, self._value = False, None
        if name != "file":
            if filename is None:
                self._value = self._values[name] = bytearray()
            else:
                self._other_files.append(f"`{name}` ({filename})")
        elif filename is None and self._headers.get(b"content-type", b"text/plain").startswith(b"text/plain"):
            self._value = self._text_of_file = bytearray()
        elif self.sink is not None:
            raise _repeated(f"`file` ({self.filename})", f"`file` ({filename or filenames.FALLBACK})")
        else:
            self.filename = filename or filenames.FALLBACK
            self._start_file(b"")

    def _start_file(self, content: bytes) -> None:
        self._in_file = True
        self.sink = self._begin_file(self.fields)
        if content:
            self.sink.add(memoryview(content))

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        if self._in_file and self.sink is not None:
            self.sink.add(memoryview(data)[start:end])
        elif self._value is not None:
            self._value += data[start:end]
            if len(self._value) > _MAX_FIELD:
                self._handle_long_value()

    def _handle_long_value(self) -> None:
        if self._value is not self._text_of_file:
            raise MultipartInvalid(f"A field of the form has more than {_MAX_FIELD:,} bytes.")
        if self.sink is not None:
            raise _repeated("`file`", "`file`")
        content, self._value, self._text_of_file = bytes(self._value or b""), None, None
        self._start_file(content)

    def _end(self) -> None:
        self._ended = True


def _is_text(content: bytearray) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _describe_missing_file(text: bytearray | None, other_files: list[str]) -> str | None:
    if other_files:
        return f"The form has a file in the field {other_files[0]}. Send it in a field named `file`."
    start = text.decode()[:200].strip() if text else ""
    if start.startswith("[object "):
        return (
            f"The field `file` contains the text {start[:30]!r} instead of a file. Append a File or a Blob to the "
            "form, or in React Native an object with uri, name and type."
        )
    if start.partition(":")[0].lower() in ("file", "content", "ph", "assets-library", "blob", "data"):
        return (
            f"The field `file` contains an address ({start[:30]}…) instead of a file. Read the file and append its "
            "content to the form."
        )
    return "The field `file` contains text instead of a file." if start else None


def _repeated(*files: str) -> FileRepeated:
    return FileRepeated(f"The form has several files: {', '.join(files)}. Send one file per request.")


def _text(name: str, value: bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise RequestInvalid(errors=[FieldError(f"body.{name}", "Must be UTF-8")]) from None
