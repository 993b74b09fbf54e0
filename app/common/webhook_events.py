"""Makes the events that are written with records, if a webhook endpoint wants them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from time import monotonic
from typing import Any

from app.domain.events import Event, EventType
from app.domain.ids import new_id
from app.domain.images import Image
from app.domain.jobs import Job
from app.ports.clock import Clock
from app.ports.webhook_tables import WebhookEndpointTable

_CACHE_SECONDS = 5
"""For how long this process may not know that an endpoint was added or removed."""


class WebhookEvents:
    """Methods may raise DependencyUnavailable. They return no events that no endpoint wants."""

    def __init__(self, endpoints: WebhookEndpointTable, *, clock: Clock) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._wanted: frozenset[EventType] = frozenset()
        self._wanted_until = 0.0

    async def of_image(self, image: Image, *types: EventType, reason: str | None = None) -> Sequence[Event]:
        """Return events about an image. `reason` says why it failed."""
        data = {
            "user_id": image.owner_id,
            "image_id": image.id,
            "content_type": image.content_type,
            "bytes": image.size,
            "width": image.width,
            "height": image.height,
        }
        return await self._make(types, {**data, "reason": reason} if reason else data)

    async def of_deletion(self, owner_id: str, image_id: str) -> Sequence[Event]:
        return await self._make((EventType.IMAGE_DELETED,), {"user_id": owner_id, "image_id": image_id})

    async def of_job(self, job: Job, event_type: EventType) -> Sequence[Event]:
        """Return an event about a job that is finished."""
        error = {"code": job.error.code, "detail": job.error.detail} if job.error else None
        data = {
            "user_id": job.owner_id,
            "job_id": job.id,
            "kind": job.kind,
            "image_id": job.image_id,
            "error": error,
        }
        return await self._make((event_type,), data)

    async def of_account(self, owner_id: str) -> Sequence[Event]:
        return await self._make((EventType.ACCOUNT_DELETED,), {"user_id": owner_id})

    async def _make(self, types: Sequence[EventType], data: dict[str, Any]) -> Sequence[Event]:
        wanted = await self._wanted_types()
        return [self._event(event_type, data) for event_type in types if event_type in wanted]

    def _event(self, event_type: EventType, data: dict[str, Any]) -> Event:
        now = self._clock()
        body = json.dumps({"type": event_type, "timestamp": now.isoformat(), "data": data}, ensure_ascii=False)
        return Event(new_id(), event_type, now, body)

    async def _wanted_types(self) -> frozenset[EventType]:
        if monotonic() >= self._wanted_until:
            endpoints = await self._endpoints.endpoints()
            self._wanted = frozenset(kind for e in endpoints if e.disabled_at is None for kind in e.event_types)
            self._wanted_until = monotonic() + _CACHE_SECONDS
        return self._wanted
