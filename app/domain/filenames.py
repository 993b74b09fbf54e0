"""Makes client filenames safe to display. A filename is never part of an object key."""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 255
_MAX_EXTENSION = 16
FALLBACK = "upload"

# Cc and Cs are control characters and lone surrogates. Cf contains bidirectional marks and invisible characters, which
# make one name look like another (CVE-2021-42574). The two joiners are allowed: emoji and several scripts need them.
_REMOVED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = {"\u200c", "\u200d"}


def clean(filename: str | None) -> str:
    """Return the last path part of `filename`, safe to display, at most `MAX_LENGTH` characters.

    Returns `upload` if nothing is left.
    """
    name = re.split(r"[/\\]", filename or "")[-1]
    name = "".join(c for c in name if c in _JOINERS or unicodedata.category(c) not in _REMOVED_CATEGORIES)
    name = unicodedata.normalize("NFC", name).strip()
    if not name.strip("."):
        return FALLBACK
    return _shorten(name)


def _shorten(name: str) -> str:
    if len(name) <= MAX_LENGTH:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > _MAX_EXTENSION:
        return name[:MAX_LENGTH]
    return stem[: MAX_LENGTH - len(extension) - 1] + dot + extension
