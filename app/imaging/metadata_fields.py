"""The rules for metadata that was read from a file. Both the reader and the receiver of its response apply them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.domain.metadata import Metadata, Position
from app.domain.text import clean_line

MAX_TEXT = 100
"""Characters."""
FIRST_YEAR, LAST_YEAR = 1800, 2199
"""A time outside of these years counts as none, which bounds the number of months of a timeline."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}")
_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")
_TEXTS = ("camera_make", "camera_model", "lens")
_INTEGERS = {"iso": (1, 100_000_000), "orientation": (1, 8)}
_NUMBERS = {"exposure_seconds": (0, 1_000_000), "f_number": (0, 1000), "focal_length_mm": (0, 1_000_000)}
_COORDINATES = {"latitude": (-90, 90), "longitude": (-180, 180), "altitude": (-100_000, 100_000)}


def keep_valid(fields: Mapping[str, Any]) -> Metadata:
    """Return the metadata without the fields that are invalid."""
    valid = {name: value for name, value in fields.items() if _is_valid(name, value)}
    if "taken_at" not in valid:
        valid.pop("taken_offset", None)
    return Metadata(**valid)


def decode_metadata(fields: Mapping[str, Any]) -> Metadata:
    """Return the metadata from JSON. Raises ValueError or TypeError if a field is invalid or unknown."""
    position = fields.get("position")
    given = {name: value for name, value in fields.items() if value is not None}
    if position is not None:
        given["position"] = Position(**position)
    for name, value in given.items():
        if not _is_valid(name, value):
            raise ValueError(f"{value!r} is not a valid {name}")
    return Metadata(**given)


def _is_valid(name: str, value: object) -> bool:
    if isinstance(value, str):
        return _is_valid_text(name, value)
    if isinstance(value, Position):
        coordinates = {each: getattr(value, each) for each in _COORDINATES}
        return name == "position" and all(
            _is_between(coordinate, *_COORDINATES[each])
            for each, coordinate in coordinates.items()
            if each != "altitude" or coordinate is not None
        )
    if name in _INTEGERS:
        return type(value) is int and _is_between(value, *_INTEGERS[name])
    return name in _NUMBERS and value != 0 and _is_between(value, *_NUMBERS[name])


def _is_valid_text(name: str, value: str) -> bool:
    if name == "taken_at":
        return bool(_TIME.fullmatch(value)) and FIRST_YEAR <= int(value[:4]) <= LAST_YEAR and _is_time(value)
    if name == "taken_offset":
        return bool(_OFFSET.fullmatch(value))
    return name in _TEXTS and 0 < len(value) <= MAX_TEXT and clean_line(value) == value


def _is_time(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_between(value: Any, low: float, high: float) -> bool:  # noqa: ANN401 - of any type in JSON
    # `bool` is a subclass of `int`, so `isinstance` would accept it.
    return type(value) in (int, float) and math.isfinite(value) and low <= value <= high
