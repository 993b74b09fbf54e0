"""Which keys an object store takes: the same for every store, so that none can name something outside it."""

from __future__ import annotations

import re

_CHARACTER = r"[A-Za-z0-9_.-]"
# At most what a file name may have on a common file system; the whole key at most what S3 takes.
_PART = rf"(?!\.\.?(?:/|\Z)){_CHARACTER}{{1,255}}"
_KEY = re.compile(rf"{_PART}(?:/{_PART})*")
_PREFIX = re.compile(rf"(?:{_PART}/)*{_CHARACTER}{{0,255}}")
_MAX_LENGTH = 1024


def check_key(key: str) -> str:
    """Return `key`. Raises ValueError unless it is `/`-separated parts of letters, digits, `-`, `_` and `.`."""
    if len(key) > _MAX_LENGTH or not _KEY.fullmatch(key):
        raise ValueError(f"not a key: {key!r}")
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix`. Raises ValueError unless a key could begin with it; the empty one is the beginning of all."""
    if len(prefix) > _MAX_LENGTH or not _PREFIX.fullmatch(prefix):
        raise ValueError(f"not the beginning of a key: {prefix!r}")
    return prefix
