"""Converts records to plain fields and back. All table backends share it.

Fields hold text, numbers, booleans, None, and lists and dictionaries of these. Times are ISO 8601 text in UTC, always
of the same width, so that text comparison orders them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def to_fields(record: object) -> dict[str, Any]:
    """Return the fields of a record (a dataclass of app.domain)."""
    record_type: Any = type(record)
    fields: dict[str, Any] = _adapter(record_type).dump_python(record)
    return {name: time_to_text(value) if isinstance(value, datetime) else value for name, value in fields.items()}


def from_fields(record_type: type[T], fields: Mapping[str, Any]) -> T:
    """Return the record. Unknown fields are ignored, and missing ones are None unless the type has a default.

    Raises ValueError if the fields are not those of such a record.
    """
    cacheable: Any = record_type
    record: T = _adapter(cacheable).validate_python({**_absent(cacheable), **fields})
    return record


def time_to_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def time_from_text(text: str) -> datetime:
    return datetime.fromisoformat(text)


@cache
def _adapter(record_type: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - a class
    return TypeAdapter(record_type)


@cache
def _absent(record_type: Any) -> dict[str, None]:  # noqa: ANN401 - a class
    """Return None for each field that may be None and has no default: DynamoDB items leave such fields out."""
    return {field.name: None for field in fields_of(record_type) if "None" in str(field.type)}
