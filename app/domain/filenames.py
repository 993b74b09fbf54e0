"""Makes filenames safe to display. A filename is never part of an object key."""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def with_extension(filename: str, extensions: Sequence[str]) -> str:
    """Return the filename if it has one of the extensions, otherwise with the first of them appended.

    Otherwise a JPEG named `invoice.html`, with markup in its metadata, would be opened as a page after a download.
    """
    _, dot, extension = filename.rpartition(".")
    return filename if dot and extension.lower() in extensions else f"{filename}.{extensions[0]}"


def _shorten(name: str) -> str:
    if not name.strip("."):
        return FALLBACK
    if len(name) <= MAX_LENGTH:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > _MAX_EXTENSION:
        return name[:MAX_LENGTH]
    return stem[: MAX_LENGTH - len(extension) - 1] + dot + extension
