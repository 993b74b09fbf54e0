"""EventTable and WebhookEndpointTable in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.domain.events import Event, WebhookEndpoint
from app.tables.serializer import time_to_text
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.rows import first, from_row, insert, to_value

_RETENTION = timedelta(days=30)

_DUE = "SELECT * FROM events WHERE is_due = 1 AND occurred_at < ? ORDER BY occurred_at LIMIT ?"
_MARK_DISPATCHED = "UPDATE events SET is_due = 0 WHERE id = ?"
_REMOVE_EXPIRED = "DELETE FROM events WHERE is_due = 0 AND occurred_at <= ?"
_FIND_EVENT = "SELECT * FROM events WHERE id = ?"
_FIND_ENDPOINT = "SELECT * FROM webhook_endpoints WHERE id = ?"
_ENDPOINTS = "SELECT * FROM webhook_endpoints ORDER BY id"
_REMOVE_ENDPOINT = "DELETE FROM webhook_endpoints WHERE id = ? RETURNING *"


def insert_events(db: sqlite3.Connection, events: Sequence[Event]) -> None:
    """Add events that are due, in the transaction of the record that they are about."""
    for event in events:
        insert(db, "events", event, on_conflict="ON CONFLICT DO NOTHING", is_due=1)


class SqliteEventTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def due_events(self, *, before: datetime, limit: int) -> Sequence[Event]:
        rows = await self._database.read(_DUE, time_to_text(before), limit)
        return [from_row(Event, row) for row in rows]

    async def mark_dispatched(self, event: Event, *, now: datetime) -> None:
        def mark(writer: sqlite3.Connection) -> None:
            writer.execute(_MARK_DISPATCHED, (event.id,))
            writer.execute(_REMOVE_EXPIRED, (time_to_text(now - _RETENTION),))

        await self._database.write(mark)

    async def find_event(self, event_id: str) -> Event | None:
        return first(Event, await self._database.read(_FIND_EVENT, event_id))


class SqliteWebhookEndpointTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add_endpoint(self, endpoint: WebhookEndpoint) -> None:
        await self._database.write(lambda writer: insert(writer, "webhook_endpoints", endpoint))

    async def find_endpoint(self, endpoint_id: str) -> WebhookEndpoint | None:
        return first(WebhookEndpoint, await self._database.read(_FIND_ENDPOINT, endpoint_id))

    async def endpoints(self) -> Sequence[WebhookEndpoint]:
        return [from_row(WebhookEndpoint, row) for row in await self._database.read(_ENDPOINTS)]

    async def edit_endpoint(self, endpoint_id: str, *, changes: Mapping[str, object]) -> WebhookEndpoint | None:
        columns = ", ".join(f"{name} = ?" for name in changes)
        values: list[Any] = [time_to_text(v) if isinstance(v, datetime) else to_value(v) for v in changes.values()]
        edit = f"UPDATE webhook_endpoints SET {columns} WHERE id = ? RETURNING *"  # noqa: S608 - names of fields
        return first(WebhookEndpoint, await self._database.execute(edit, *values, endpoint_id))

    async def remove_endpoint(self, endpoint_id: str) -> WebhookEndpoint | None:
        return first(WebhookEndpoint, await self._database.execute(_REMOVE_ENDPOINT, endpoint_id))
