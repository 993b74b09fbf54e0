"""When two email addresses belong to the same account."""

from __future__ import annotations

import unicodedata


def normalize(email: str) -> str:
    """Return the form in which `email` is unique: NFKC, without surrounding spaces, case-folded."""
    return unicodedata.normalize("NFKC", email).strip().casefold()
