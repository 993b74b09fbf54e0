"""EventTable and WebhookEndpointTable in DynamoDB: see docs/decisions/0025-webhooks.md for the keys."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from app.domain.events import Event, WebhookEndpoint
from app.tables.dynamodb import keys
from app.tables.dynamodb.due_index import oldest_due
from app.tables.dynamodb.items import endpoint_item, event_item, update_of
from app.tables.dynamodb.table import Action, ConditionFailed, DynamoDBTable
from app.tables.serializer import from_fields


def put_events(events: Sequence[Event]) -> list[Action]:
    """Return the actions that add events in the transaction of the record that they are about."""
    return [("Put", {"Item": event_item(event)}) for event in events]


class DynamoDBEventTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def due_events(self, *, before: datetime, limit: int) -> Sequence[Event]:
        found = await oldest_due(self._table, keys.DUE_EVENTS, before=before, limit=limit)
        items = await asyncio.gather(*(self._table.find({"pk": key["pk"], "sk": key["sk"]}) for key in found))
        # The index is slightly behind the table, so that it may contain events that were dispatched just now.
        return [from_fields(Event, fields) for fields in items if fields and "due" in fields]

    async def mark_dispatched(self, event: Event, *, now: datetime) -> None:  # noqa: ARG002 - TTL deletes the event
        with suppress(ConditionFailed):
            await self._table.update(
                keys.event_key(event.id),
                UpdateExpression="REMOVE #due, #due_at",
                ConditionExpression="attribute_exists(#due)",
                values={},
            )

    async def find_event(self, event_id: str) -> Event | None:
        fields = await self._table.find(keys.event_key(event_id))
        return from_fields(Event, fields) if fields else None


class DynamoDBWebhookEndpointTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_endpoint(self, endpoint: WebhookEndpoint) -> None:
        await self._table.put(endpoint_item(endpoint))

    async def find_endpoint(self, endpoint_id: str) -> WebhookEndpoint | None:
        fields = await self._table.find(keys.endpoint_key(endpoint_id))
        return from_fields(WebhookEndpoint, fields) if fields else None

    async def endpoints(self) -> Sequence[WebhookEndpoint]:
        found = self._table.query(KeyConditionExpression="#pk = :partition", values={"partition": keys.WEBHOOKS})
        return [from_fields(WebhookEndpoint, fields) async for items in found for fields in items]

    async def edit_endpoint(self, endpoint_id: str, *, changes: Mapping[str, object]) -> WebhookEndpoint | None:
        try:
            fields = await self._table.update(
                keys.endpoint_key(endpoint_id), ConditionExpression="attribute_exists(#pk)", **update_of(changes)
            )
        except ConditionFailed:
            return None
        return from_fields(WebhookEndpoint, fields)

    async def remove_endpoint(self, endpoint_id: str) -> WebhookEndpoint | None:
        endpoint = await self.find_endpoint(endpoint_id)
        await self._table.delete(keys.endpoint_key(endpoint_id))
        return endpoint
