"""When two e-mail addresses are the same account."""

from __future__ import annotations

import unicodedata


def normalise(email: str) -> str:
    """Return the form under which `email` is unique: NFKC, without outer spaces, case folded."""
    return unicodedata.normalize("NFKC", email).strip().casefold()
