"""Reads the request headers that list what a client accepts."""

from __future__ import annotations

_REFUSED = ("q=0", "q=0.0", "q=0.00", "q=0.000")


def accepted(header: str) -> set[str]:
    """Return the names in the value of an Accept or Accept-Encoding header, in lower case, without those it refuses."""
    names = set()
    for item in header.lower().split(","):
        name, _, parameters = item.partition(";")
        if parameters.replace(" ", "") not in _REFUSED:
            names.add(name.strip())
    return names
