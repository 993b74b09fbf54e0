"""The custom metadata of an image: pairs of text that only the app of the client interprets."""

from __future__ import annotations

import functools
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError

from app.domain.errors import FieldError, RequestInvalid

MAX_PAIRS = 20
MAX_KEY = 64
MAX_VALUE = 512
"""Characters, like MAX_KEY."""


def _check_text(text: str) -> str:
    """Return the text unchanged. Raises ValueError for characters that cannot be stored or displayed."""
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r" for character in text):
        raise ValueError("must not contain control characters")
    return text


CustomMetadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=MAX_KEY), AfterValidator(_check_text)],
        Annotated[str, StringConstraints(max_length=MAX_VALUE), AfterValidator(_check_text)],
    ],
    Field(
        max_length=MAX_PAIRS,
        description=f"At most {MAX_PAIRS} pairs, with keys of 1 to {MAX_KEY} and values of at most {MAX_VALUE} "
        "characters. They are stored unchanged.",
        examples=[{"album": "Summer"}],
    ),
]


@functools.cache
def _adapter() -> TypeAdapter[dict[str, str]]:
    return TypeAdapter(CustomMetadata)


def parse_custom_metadata(place: str, text: str | None) -> dict[str, str]:
    """Parse a JSON object, or return no pairs if there is no text. `place` is where the text was: `body`, `query`, …

    Raises RequestInvalid.
    """
    if not text:
        return {}
    try:
        return _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        field = f"{place}.custom_metadata"
        faults = [FieldError(".".join([field, *map(str, fault["loc"])]), fault["msg"]) for fault in error.errors()]
        raise RequestInvalid(errors=faults) from None
