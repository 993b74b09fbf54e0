"""Webhook endpoints and their deliveries, as operators manage them."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.domain.accounts import User
from app.domain.errors import WebhookDeliveryMissing, WebhookDisabled, WebhookLimitReached, WebhookMissing
from app.domain.events import MAX_ENDPOINTS, SECRET_PREFIX, Event, EventType, WebhookEndpoint, delivery_owner
from app.domain.ids import new_id
from app.domain.jobs import Job, JobStatus
from app.jobs.event_dispatch import DELIVERY_JOB_KIND
from app.jobs.service import JobService
from app.ports.clock import Clock
from app.ports.webhook_sender import WebhookSender
from app.ports.webhook_tables import EventTable, WebhookEndpointTable

_SECRET_BYTES = 32
_OVERLAP = timedelta(days=1)
"""For how long the previous secret signs as well."""


@dataclass(frozen=True, slots=True)
class Delivery:
    job: Job
    event: Event | None
    """None if the event is older than 30 days."""


class Webhooks:
    """Methods that take the id of an endpoint raise WebhookMissing."""

    def __init__(
        self,
        *,
        endpoints: WebhookEndpointTable,
        events: EventTable,
        sender: WebhookSender,
        jobs: JobService,
        clock: Clock,
    ) -> None:
        self._endpoints = endpoints
        self._events = events
        self._sender = sender
        self._jobs = jobs
        self._clock = clock

    async def create(self, url: str, event_types: Sequence[EventType]) -> WebhookEndpoint:
        """Raises WebhookUrlRefused and WebhookLimitReached."""
        await self._sender.check_url(url)
        if len(await self._endpoints.endpoints()) >= MAX_ENDPOINTS:
            raise WebhookLimitReached
        endpoint = WebhookEndpoint(new_id(), url, tuple(event_types), _new_secret(), self._clock())
        await self._endpoints.add_endpoint(endpoint)
        return endpoint

    async def endpoints(self) -> Sequence[WebhookEndpoint]:
        return await self._endpoints.endpoints()

    async def get(self, endpoint_id: str) -> WebhookEndpoint:
        return _require(await self._endpoints.find_endpoint(endpoint_id))

    async def change(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        event_types: Sequence[EventType] | None = None,
        disabled: bool | None = None,
    ) -> WebhookEndpoint:
        """Change what is not None. Raises WebhookUrlRefused."""
        changes: dict[str, Any] = {}
        if url is not None:
            await self._sender.check_url(url)
            changes["url"] = url
        if event_types is not None:
            changes["event_types"] = tuple(event_types)
        if disabled is not None:
            changes["disabled_at"] = self._clock() if disabled else None
        if not changes:
            return await self.get(endpoint_id)
        return _require(await self._endpoints.edit_endpoint(endpoint_id, changes=changes))

    async def rotate_secret(self, endpoint_id: str) -> WebhookEndpoint:
        """Replace the secret. For 24 hours, requests have signatures of both the previous and the new one."""
        endpoint = await self.get(endpoint_id)
        changes = {
            "secret": _new_secret(),
            "previous_secret": endpoint.secret,
            "previous_secret_until": self._clock() + _OVERLAP,
        }
        return _require(await self._endpoints.edit_endpoint(endpoint_id, changes=changes))

    async def remove(self, endpoint_id: str) -> None:
        """Remove the endpoint. Its unfinished deliveries end without a request."""
        _require(await self._endpoints.remove_endpoint(endpoint_id))

    async def deliveries(
        self, endpoint_id: str, *, cursor: str | None, limit: int, status: JobStatus | None = None
    ) -> tuple[Sequence[Delivery], str | None]:
        """Return deliveries, newest first, and the cursor of the next page. Raises CursorInvalid."""
        await self.get(endpoint_id)
        page = await self._jobs.page(User(delivery_owner(endpoint_id)), cursor=cursor, limit=limit, status=status)
        events = await asyncio.gather(*(self._events.find_event(job.event_id or "") for job in page.items))
        return [Delivery(job, event) for job, event in zip(page.items, events, strict=True)], page.next_cursor

    async def redeliver(self, endpoint_id: str, delivery_id: str) -> Delivery:
        """Add another delivery of the same event. Raises WebhookDeliveryMissing and WebhookDisabled."""
        endpoint, owner = await self.get(endpoint_id), User(delivery_owner(endpoint_id))
        found = await self._jobs.find(owner, delivery_id)
        event = await self._events.find_event(found.event_id) if found and found.event_id else None
        if event is None:
            raise WebhookDeliveryMissing
        if endpoint.disabled_at:
            raise WebhookDisabled
        job = await self._jobs.add(owner, DELIVERY_JOB_KIND, event_id=event.id)
        await self._jobs.send(job)
        return Delivery(job, event)


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def _require(endpoint: WebhookEndpoint | None) -> WebhookEndpoint:
    if endpoint is None:
        raise WebhookMissing
    return endpoint
