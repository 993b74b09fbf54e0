"""Makes filenames safe to display. A filename is never part of an object key."""

from __future__ import annotations

import re

from app.domain.formats import FORMATS_BY_CONTENT_TYPE, FORMATS_BY_EXTENSION
from app.domain.text import clean_line

MAX_LENGTH = 255
_MAX_EXTENSION = 16
FALLBACK = "upload"
_RELATIVE_PATH = re.compile(r"^(\.{0,2}[/\\])+")


def clean(filename: str | None) -> str:
    """Return the last part of a path from a client, safe to display, at most `MAX_LENGTH` characters.

    Returns `upload` if nothing is left.
    """
    return _shorten(clean_line(re.split(r"[/\\]", filename or "")[-1]))


def clean_title(title: str | None) -> str:
    """Return a name that a person wrote as a filename like that of `clean`. Slashes become hyphens."""
    without_path = _RELATIVE_PATH.sub("", title or "")
    return _shorten(clean_line(re.sub(r"[/\\]", "-", without_path)))


def with_extension(filename: str, content_type: str) -> str:
    """Return the filename with an extension of the format.

    The extension of another image format is replaced; the right one is appended to anything else. Otherwise a JPEG
    named `invoice.html`, with markup in its metadata, would be opened as a page after a download.
    """
    image_format = FORMATS_BY_CONTENT_TYPE[content_type]
    stem, dot, extension = filename.rpartition(".")
    found = FORMATS_BY_EXTENSION.get(extension.lower()) if dot else None
    if found is image_format:
        return filename
    return f"{stem if found else filename}.{image_format.extensions[0]}"


def _shorten(name: str) -> str:
    if not name.strip("."):
        return FALLBACK
    if len(name) <= MAX_LENGTH:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > _MAX_EXTENSION:
        return name[:MAX_LENGTH]
    return stem[: MAX_LENGTH - len(extension) - 1] + dot + extension
