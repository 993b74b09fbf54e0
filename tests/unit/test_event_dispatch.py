"""Tests of the dispatch and the delivery of events, with real tables and a real queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import WebhookDeliveryMissing, WebhookDisabled, WebhookTimedOut, WebhookUndelivered
from app.domain.events import Event, EventType, WebhookEndpoint, delivery_owner
from app.domain.ids import new_id
from app.domain.images import Quota
from app.domain.jobs import Job
from app.jobs.attempt import Attempt
from app.jobs.event_dispatch import EventDispatch
from app.jobs.service import JobService
from app.queues.local import LocalJobQueue
from app.services.audit import AuditLog
from app.services.webhook_deliveries import WebhookDeliveries
from app.tables.sqlite import (
    SqliteAuditTable,
    SqliteEventTable,
    SqliteImageTable,
    SqliteJobTable,
    SqliteWebhookEndpointTable,
    open_sqlite,
)
from tests.contracts.tables import make_image
from tests.unit.clock import NOON, ManualClock

UNUSED: Any = None


@dataclass
class Sender:
    """A sender that responds as a test says, and counts its requests."""

    response: int | Exception = 204
    headers: list[Mapping[str, str]] = field(default_factory=list)

    async def check_url(self, url: str) -> None: ...

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        self.headers.append(headers)
        if isinstance(self.response, Exception):
            raise self.response
        return self.response


@dataclass
class Parts:
    events: SqliteEventTable
    endpoints: SqliteWebhookEndpointTable
    images: SqliteImageTable
    jobs: SqliteJobTable
    queue: LocalJobQueue
    dispatch: EventDispatch
    deliveries: WebhookDeliveries
    sender: Sender

    async def add_event(self, event_type: EventType = EventType.IMAGE_CREATED, *, at: timedelta = timedelta()) -> Event:
        event = Event(new_id(), event_type, NOON + at, "{}")
        await self.images.add(make_image(new_id()), quota=Quota(), events=[event])
        return event

    async def add_endpoint(self, *types: EventType) -> WebhookEndpoint:
        endpoint = WebhookEndpoint(new_id(), "https://hooks.example.com", types, "whsec_AAAA", NOON)
        await self.endpoints.add_endpoint(endpoint)
        return endpoint

    async def jobs_of(self, endpoint: WebhookEndpoint) -> list[Job]:
        jobs, _ = await self.jobs.page_jobs(delivery_owner(endpoint.id), before=None, limit=100)
        return list(jobs)

    async def deliver(self, job: Job) -> None:
        attempt: Any = Attempt(self.jobs, job, UNUSED, clock=UNUSED)
        await self.deliveries.run(attempt)


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with open_sqlite(tmp_path / "service.db") as database:
        clock, queue, sender = ManualClock(), LocalJobQueue(wait_seconds=0), Sender()
        events, endpoints = SqliteEventTable(database), SqliteWebhookEndpointTable(database)
        jobs = SqliteJobTable(database, clock=clock)
        service = JobService(table=jobs, queue=queue, limiter=UNUSED, cursors=UNUSED, clock=clock)
        audit = AuditLog(SqliteAuditTable(database, clock=clock), retention=timedelta(days=1), clock=clock)
        yield Parts(
            events,
            endpoints,
            SqliteImageTable(database),
            jobs,
            queue,
            EventDispatch(events=events, endpoints=endpoints, jobs=service, clock=clock),
            WebhookDeliveries(events=events, endpoints=endpoints, sender=sender, audit=audit, clock=clock),
            sender,
        )


async def test_each_endpoint_gets_the_events_that_it_wants_once(parts: Parts):
    images, jobs = await parts.add_endpoint(EventType.IMAGE_CREATED), await parts.add_endpoint(EventType.JOB_FAILED)
    created, failed = await parts.add_event(), await parts.add_event(EventType.JOB_FAILED)
    await parts.add_event(at=-timedelta(seconds=1))  # before the endpoints were registered
    await asyncio.gather(parts.dispatch.run(), parts.dispatch.run())
    assert [job.event_id for job in await parts.jobs_of(images)] == [created.id]
    assert [job.event_id for job in await parts.jobs_of(jobs)] == [failed.id]
    assert await parts.events.due_events(before=NOON + timedelta(days=1), limit=10) == []


async def test_a_dispatch_that_was_interrupted_adds_no_second_delivery(parts: Parts, monkeypatch: pytest.MonkeyPatch):
    endpoint, event = await parts.add_endpoint(EventType.IMAGE_CREATED), await parts.add_event()

    async def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch, pytest.RaisesGroup(RuntimeError):
        patch.setattr(parts.events, "mark_dispatched", crash)
        await parts.dispatch.run()
    await parts.dispatch.run()
    assert [job.id for job in await parts.jobs_of(endpoint)] == [event.id]


async def test_more_events_than_a_batch_are_dispatched(parts: Parts):
    endpoint = await parts.add_endpoint(EventType.IMAGE_CREATED)
    for _ in range(101):
        await parts.add_event()
    await parts.dispatch.run()
    assert await parts.events.due_events(before=NOON + timedelta(days=1), limit=10) == []
    assert len(await parts.jobs_of(endpoint)) == 100  # a page
    assert len(await parts.queue.receive(limit=10, visibility_timeout_seconds=60)) == 10


async def test_after_a_timeout_the_endpoint_is_left_alone_for_a_while(parts: Parts):
    slow, other = await parts.add_endpoint(EventType.IMAGE_CREATED), await parts.add_endpoint(EventType.IMAGE_CREATED)
    await parts.add_event()
    await parts.dispatch.run()
    [to_slow], [to_other] = await parts.jobs_of(slow), await parts.jobs_of(other)
    parts.sender.response = WebhookTimedOut()
    with pytest.raises(WebhookTimedOut):
        await parts.deliver(to_slow)
    with pytest.raises(WebhookUndelivered, match="a moment ago"):
        await parts.deliver(to_slow)
    assert len(parts.sender.headers) == 1
    parts.sender.response = 204
    await parts.deliver(to_other)
    assert len(parts.sender.headers) == 2


@pytest.mark.parametrize("status", [302, 400, 401, 500])
async def test_other_responses_than_success_are_retried(parts: Parts, status: int):
    endpoint = await parts.add_endpoint(EventType.IMAGE_CREATED)
    event = await parts.add_event()
    await parts.dispatch.run()
    [job] = await parts.jobs_of(endpoint)
    parts.sender.response = status
    with pytest.raises(WebhookUndelivered, match=str(status)):
        await parts.deliver(job)
    assert parts.sender.headers[0]["webhook-id"] == event.id


async def test_nothing_is_sent_to_a_missing_or_disabled_endpoint_or_without_an_event(parts: Parts):
    endpoint = await parts.add_endpoint(EventType.IMAGE_CREATED)
    await parts.add_event()
    await parts.dispatch.run()
    [job] = await parts.jobs_of(endpoint)
    with pytest.raises(WebhookDeliveryMissing):
        await parts.deliver(replace(job, event_id=new_id()))
    await parts.endpoints.edit_endpoint(endpoint.id, changes={"disabled_at": NOON})
    with pytest.raises(WebhookDisabled):
        await parts.deliver(job)
    await parts.endpoints.remove_endpoint(endpoint.id)
    await parts.deliver(job)
    assert parts.sender.headers == []
