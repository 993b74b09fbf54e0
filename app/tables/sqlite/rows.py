"""Converts records to SQLite rows and back. Nested fields are JSON text."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, TypeVar

from app.tables.serializer import from_fields, time_to_text, to_fields

T = TypeVar("T")

_JSON_COLUMNS = frozenset(
    {
        "thumbnails",
        "source",
        "error",
        "scopes",
        "refusal",
        "originals_deleted",
        "segments",
        "counts",
        "event_types",
        "image_ids",
        "focal_point",
        "metadata",
        "custom_metadata",
    }
)


def insert(
    db: sqlite3.Connection, table: str, record: object | Mapping[str, Any], *, on_conflict: str = "", **more: object
) -> None:
    """Insert a record, with further columns. `on_conflict` is the SQL clause, as in `ON CONFLICT DO NOTHING`."""
    values = {**(record if isinstance(record, Mapping) else to_values(record)), **more}
    columns, parameters = ", ".join(values), ", ".join(f":{name}" for name in values)
    db.execute(f"INSERT INTO {table} ({columns}) VALUES ({parameters}) {on_conflict}", values)  # noqa: S608 - constants


def to_values(record: object) -> dict[str, Any]:
    return {name: to_value(value) for name, value in to_fields(record).items()}


def to_value(value: object) -> Any:  # noqa: ANN401 - one of the types of SQLite
    return json.dumps(value, default=time_to_text) if isinstance(value, dict | list | tuple) else value


def from_row(record_type: type[T], row: sqlite3.Row) -> T:
    # `dict(row)` searches for each column by its name, which takes twice as long.
    fields = dict(zip(row.keys(), row, strict=True))
    for column in fields.keys() & _JSON_COLUMNS:
        fields[column] = json.loads(fields[column]) if fields[column] else None
    return from_fields(record_type, fields)


def first(record_type: type[T], rows: list[sqlite3.Row]) -> T | None:
    """Return the record of the first row, or None if there is none."""
    return from_row(record_type, rows[0]) if rows else None
