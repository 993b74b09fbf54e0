"""Tables of webhooks. Methods may raise DependencyUnavailable, as in `ports.tables`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.domain.events import Event, WebhookEndpoint


class WebhookEndpointTable(Protocol):
    async def add_endpoint(self, endpoint: WebhookEndpoint) -> None: ...

    async def find_endpoint(self, endpoint_id: str) -> WebhookEndpoint | None: ...

    async def endpoints(self) -> Sequence[WebhookEndpoint]:
        """Return all endpoints, the oldest first."""
        ...

    async def edit_endpoint(self, endpoint_id: str, *, changes: Mapping[str, object]) -> WebhookEndpoint | None:
        """Set the named fields, and return the updated endpoint, or None if it is missing."""
        ...

    async def remove_endpoint(self, endpoint_id: str) -> WebhookEndpoint | None:
        """Remove the endpoint and return it, or None if it is missing."""
        ...


class EventTable(Protocol):
    """The events. ImageTable and JobTable add them in the transactions of their records.

    An event is due until `mark_dispatched`, and is kept for 30 days after it occurred.
    """

    async def due_events(self, *, before: datetime, limit: int) -> Sequence[Event]:
        """Return at most `limit` due events that occurred before that time, oldest first.

        May miss writes of the last seconds.
        """
        ...

    async def mark_dispatched(self, event: Event, *, now: datetime) -> None:
        """Record that the deliveries of the event exist. An event that is not due is ignored."""
        ...

    async def find_event(self, event_id: str) -> Event | None: ...
