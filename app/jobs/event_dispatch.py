"""Dispatches events: adds a delivery job for each webhook endpoint that wants the event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.domain.accounts import User
from app.domain.events import Event, WebhookEndpoint, delivery_owner
from app.jobs.service import JobService
from app.ports.clock import Clock
from app.ports.webhook_tables import EventTable, WebhookEndpointTable

DELIVERY_JOB_KIND = "deliver_event"
_BATCH = 100
_CONCURRENT = 10
_CLOCK_SKEW = timedelta(minutes=5)
"""How far the clock of the process that wrote an event may be ahead."""

_log = structlog.stdlib.get_logger(__name__)


class EventDispatch:
    def __init__(self, *, events: EventTable, endpoints: WebhookEndpointTable, jobs: JobService, clock: Clock) -> None:
        self._events = events
        self._endpoints = endpoints
        self._jobs = jobs
        self._clock = clock

    async def run(self) -> None:
        """Dispatch all due events. Repeating it, also concurrently, adds nothing twice.

        Without endpoints, it does nothing. Raises DependencyUnavailable.
        """
        while endpoints := await self._endpoints.endpoints():
            events = await self._events.due_events(before=self._clock() + _CLOCK_SKEW, limit=_BATCH)
            slots = asyncio.Semaphore(_CONCURRENT)
            async with asyncio.TaskGroup() as group:
                for event in events:
                    group.create_task(self._dispatch(event, endpoints, slots))
            if events:
                _log.info("events.dispatched", events=len(events))
            if len(events) < _BATCH:
                return

    async def _dispatch(self, event: Event, endpoints: Sequence[WebhookEndpoint], slots: asyncio.Semaphore) -> None:
        async with slots:
            for endpoint in endpoints:
                if endpoint.wants(event):
                    # The id of the event makes the job unique for its endpoint, which owns it.
                    owner = User(delivery_owner(endpoint.id))
                    job = await self._jobs.add(owner, DELIVERY_JOB_KIND, event_id=event.id, job_id=event.id)
                    await self._jobs.send(job)
            await self._events.mark_dispatched(event, now=self._clock())
