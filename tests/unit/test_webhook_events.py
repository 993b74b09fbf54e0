"""Tests of the events that are written with records, with a real table."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.common.webhook_events import WebhookEvents
from app.domain.events import EventType, WebhookEndpoint
from app.domain.ids import new_id
from app.domain.jobs import JobError
from app.tables.sqlite import SqliteWebhookEndpointTable, open_sqlite
from tests.contracts.tables import NOON, make_image, make_job


@pytest.fixture
async def endpoints(tmp_path: Path) -> AsyncIterator[SqliteWebhookEndpointTable]:
    async with open_sqlite(tmp_path / "service.db") as database:
        yield SqliteWebhookEndpointTable(database)


def make_events(endpoints: SqliteWebhookEndpointTable) -> WebhookEvents:
    return WebhookEvents(endpoints, clock=lambda: NOON)


def make_endpoint(*types: EventType) -> WebhookEndpoint:
    return WebhookEndpoint(new_id(), "https://hooks.example.com", types, "whsec_AAAA", NOON)


async def test_without_an_endpoint_there_are_no_events(endpoints: SqliteWebhookEndpointTable):
    assert await make_events(endpoints).of_image(make_image("ada"), EventType.IMAGE_CREATED) == []


async def test_only_events_that_an_endpoint_wants_are_made(endpoints: SqliteWebhookEndpointTable):
    await endpoints.add_endpoint(make_endpoint(EventType.IMAGE_READY))
    disabled = replace(make_endpoint(EventType.IMAGE_CREATED), disabled_at=NOON)
    await endpoints.add_endpoint(disabled)
    image = make_image("ada")
    (event,) = await make_events(endpoints).of_image(image, EventType.IMAGE_CREATED, EventType.IMAGE_READY)
    assert event.type is EventType.IMAGE_READY
    body = json.loads(event.body)
    assert body["type"] == "image.ready"
    assert body["timestamp"] == NOON.isoformat()
    assert body["data"] == {
        "user_id": "ada",
        "image_id": image.id,
        "content_type": "image/jpeg",
        "bytes": 1000,
        "width": 4032,
        "height": 3024,
    }


async def test_bodies_contain_nothing_that_a_user_entered(endpoints: SqliteWebhookEndpointTable):
    await endpoints.add_endpoint(make_endpoint(*EventType))
    events = make_events(endpoints)
    image = make_image("ada", filename="secret-name.jpg", description="secret-text")
    job = make_job("ada", description="secret-text", error=JobError("image_corrupt", "The image is damaged."))
    made = [
        *await events.of_image(image, EventType.IMAGE_CREATED, EventType.IMAGE_FAILED, reason="It is damaged."),
        *await events.of_job(job, EventType.JOB_FAILED),
        *await events.of_deletion("ada", image.id),
        *await events.of_account("ada"),
    ]
    assert [event.type for event in made] == [
        EventType.IMAGE_CREATED,
        EventType.IMAGE_FAILED,
        EventType.JOB_FAILED,
        EventType.IMAGE_DELETED,
        EventType.ACCOUNT_DELETED,
    ]
    assert "secret" not in "".join(event.body for event in made)


async def test_endpoints_are_read_again_after_some_seconds(
    endpoints: SqliteWebhookEndpointTable, monkeypatch: pytest.MonkeyPatch
):
    events = make_events(endpoints)
    assert await events.of_account("ada") == []
    await endpoints.add_endpoint(make_endpoint(EventType.ACCOUNT_DELETED))
    assert await events.of_account("ada") == []
    later = events._wanted_until + 1
    monkeypatch.setattr("app.common.webhook_events.monotonic", lambda: later)
    assert len(await events.of_account("ada")) == 1
