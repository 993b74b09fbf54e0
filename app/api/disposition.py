"""Reads the filename that a client sends in a Content-Disposition header."""

from __future__ import annotations

from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value

from python_multipart.multipart import parse_options_header

from app.domain import filenames


def parse_filename(header: bytes) -> str | None:
    """Return the cleaned filename, or None if the header has none.

    `filename*` (RFC 6266) takes precedence. RFC 7578 forbids it in forms, but clients send it there, alone or beside a
    filename that is encoded as in RFC 2047.
    """
    if b"filename*" in header.lower():
        message = Message()
        message["Content-Disposition"] = header.decode("latin-1")
        for name, value in message.get_params([], header="Content-Disposition"):
            if name.lower() == "filename" and isinstance(value, tuple):
                return filenames.clean(collapse_rfc2231_value(value))
    raw = parse_options_header(header)[1].get(b"filename")
    if raw is None:
        return None
    # Browsers percent-encode exactly these three characters in a form (WHATWG HTML, multipart/form-data encoding).
    for encoded, decoded in ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n")):
        raw = raw.replace(encoded, decoded)
    filename = raw.decode("utf-8", "replace")
    if filename.startswith("=?") and filename.endswith("?="):
        with suppress(HeaderParseError, LookupError, ValueError):  # It may only look like an encoded word.
            filename = str(make_header(decode_header(filename)))
    return filenames.clean(filename)
