"""What the signatures of the disk store's URLs and forms cover, and the content types of its objects."""

from __future__ import annotations

import json
from collections.abc import Mapping

from app.domain.formats import FORMATS_BY_EXTENSION, UNKNOWN_TYPE

_OTHER_CONTENT_TYPES = {"json": "application/json", "zip": "application/zip"}


def content_type_of(key: str) -> str:
    extension = key.rpartition(".")[2]
    known = FORMATS_BY_EXTENSION.get(extension)
    return known.content_type if known else _OTHER_CONTENT_TYPES.get(extension, UNKNOWN_TYPE)


def message(key: str, expires: int, filename: str | None) -> bytes:
    # Unambiguous, because neither a key nor a number contains a line break.
    text = f"{key}\n{expires}" if filename is None else f"{key}\n{expires}\n{filename}"
    return text.encode("utf-8", "surrogatepass")


def form_message(fields: Mapping[str, str]) -> bytes:
    # All fields are signed, so that none can be removed or added.
    return json.dumps(sorted((name, value) for name, value in fields.items() if name != "signature")).encode()
