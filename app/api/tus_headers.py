"""Parses the request headers of the tus protocol (https://tus.io/protocols/resumable-upload)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from fastapi import Request

from app.api.custom_metadata import parse_custom_metadata
from app.api.errors import TUS_VERSION
from app.api.upload_form import MAX_DESCRIPTION
from app.domain.errors import FieldError, OffsetStreamRequired, RequestInvalid, RequestMalformed, TusVersionUnsupported
from app.domain.text import clean_text

OFFSET_STREAM = "application/offset+octet-stream"
_METADATA = re.compile(r"\s*([^\s,]+)(?: +([A-Za-z0-9+/=]*))?\s*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1_BYTES = 20


@dataclass(frozen=True, slots=True)
class Metadata:
    filename: str
    description: str | None
    sha256: str | None
    custom_metadata: dict[str, str]


async def require_version(request: Request) -> None:
    """Raise TusVersionUnsupported unless the client speaks the version of this service."""
    if request.headers.get("tus-resumable") != TUS_VERSION:
        raise TusVersionUnsupported


def require_offset_stream(request: Request) -> None:
    """Raise OffsetStreamRequired unless the body contains bytes of the file."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != OFFSET_STREAM:
        raise OffsetStreamRequired


def parse_metadata(header: str | None) -> Metadata:
    """Parse Upload-Metadata: pairs of a name and a value in base64. Unknown names are ignored.

    Raises RequestMalformed and RequestInvalid.
    """
    values: dict[str, str] = {}
    for pair in (header or "").split(",") if (header or "").strip() else ():
        match = _METADATA.fullmatch(pair)
        if match is None:
            raise RequestMalformed("Upload-Metadata is malformed. Send it like this: filename YmVhY2guanBn")
        values[match[1]] = _decode(match[1], match[2] or "")
    sha256 = values.get("sha256", "").lower() or None
    if sha256 and not _SHA256.fullmatch(sha256):
        raise _invalid("sha256", "Must have 64 hexadecimal digits")
    description = clean_text(values.get("description", "")) or None
    if description and len(description) > MAX_DESCRIPTION:
        raise _invalid("description", f"Must have at most {MAX_DESCRIPTION} characters")
    custom = parse_custom_metadata("header.Upload-Metadata", values.get("custom_metadata"))
    return Metadata(values.get("filename") or values.get("name", ""), description, sha256, custom)


def parse_checksum(header: str | None) -> bytes | None:
    """Return the SHA-1 of Upload-Checksum, or None if there is none. Raises RequestMalformed for other algorithms."""
    if header is None:
        return None
    algorithm, _, digest = header.partition(" ")
    try:
        sha1 = base64.b64decode(digest, validate=True)
    except binascii.Error:
        sha1 = b""
    if algorithm != "sha1" or len(sha1) != _SHA1_BYTES:
        raise RequestMalformed("Upload-Checksum must be `sha1`, a space, and the SHA-1 of the body in base64.")
    return sha1


def _decode(name: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError:
        raise _invalid(name, "Must be UTF-8 text in base64") from None


def _invalid(name: str, message: str) -> RequestInvalid:
    return RequestInvalid(errors=[FieldError(f"header.Upload-Metadata.{name}", message)])
