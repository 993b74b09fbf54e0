"""The Content-Disposition header (RFC 6266)."""

from __future__ import annotations

import re
from urllib.parse import quote

# Separators would turn the name into a path, control characters into a second header, bidirectional marks into a
# misleading name.
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# A quote would end the quoted string, and some browsers decode %41 in it (RFC 6266, appendix D).
_NOT_PLAIN = re.compile(r"[^ -~]|[\"%]")
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`|~"
"""What need not be percent-encoded besides letters and digits (RFC 8187, section 3.2.1)."""


def attachment(filename: str) -> str:
    """Return the header value that makes a client save the response under `filename`: one line of ASCII."""
    name = _UNSAFE.sub("_", filename)
    plain = _NOT_PLAIN.sub("_", name)
    if plain == name:
        return f'attachment; filename="{plain}"'
    encoded = quote(name, safe=_ATTRIBUTE_CHARACTERS, errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
