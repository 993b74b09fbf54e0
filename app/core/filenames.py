"""What a client's filename becomes before anyone is shown it; it is never part of an object key."""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 255
_MAX_EXTENSION = 16
FALLBACK = "upload"

# Cc and Cs: controls and lone surrogates. Cf: bidi marks and invisible characters (CVE-2021-42574), which make a
# name read as another one; the two joiners are kept, because emoji and several scripts are written with them.
_REMOVED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = {"\u200c", "\u200d"}


def clean(filename: str | None) -> str:
    """Return the last path part of `filename`, fit to be shown and not over `MAX_LENGTH`; `upload` if none is left."""
    name = re.split(r"[/\\]", filename or "")[-1]
    name = "".join(c for c in name if c in _JOINERS or unicodedata.category(c) not in _REMOVED)
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
