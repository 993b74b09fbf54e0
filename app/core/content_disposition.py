"""The header Content-Disposition, RFC 6266: a file name of any kind made safe to stand in it."""

from __future__ import annotations

import re
from urllib.parse import quote

# Separators and control characters would make a path or a second header of the name; bidirectional marks a false one.
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# Quotes end the quoted string, and some browsers take %41 in it for an A (RFC 6266, appendix D).
_NOT_PLAIN = re.compile(r"[^ -~]|[\"%]")
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`|~"  # RFC 8187, section 3.2.1: with letters and digits what stays as it is


def attachment(filename: str) -> str:
    """Return the value that downloads under `filename`: one line of ASCII, whatever the name holds."""
    name = _UNSAFE.sub("_", filename)
    plain = _NOT_PLAIN.sub("_", name)
    if plain == name:
        return f'attachment; filename="{plain}"'
    encoded = quote(name, safe=_ATTRIBUTE_CHARACTERS, errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
