"""What every EventTable and WebhookEndpointTable does, and how records and their events are written together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.claims import ClaimLost, JobClaim
from app.domain.errors import ImageMissing, QuotaExceeded
from app.domain.events import Event, EventType, WebhookEndpoint
from app.domain.ids import new_id
from app.domain.images import Quota
from app.domain.jobs import JobStatus
from app.ports.tables import ImageTable, JobTable
from app.ports.webhook_tables import EventTable, WebhookEndpointTable
from app.tables.dynamodb import (
    DynamoDBEventTable,
    DynamoDBImageTable,
    DynamoDBJobTable,
    DynamoDBWebhookEndpointTable,
)
from app.tables.sqlite import (
    SqliteEventTable,
    SqliteImageTable,
    SqliteJobTable,
    SqliteWebhookEndpointTable,
    open_sqlite,
)
from tests.contracts.tables import NOON, make_image, make_job, open_table
from tests.reconcile_helpers import system_clock

HOUR = timedelta(hours=1)


@dataclass
class Tables:
    events: EventTable
    endpoints: WebhookEndpointTable
    images: ImageTable
    jobs: JobTable

    async def due(self) -> list[str]:
        """Return the ids of the due events."""
        return [event.id for event in await self.events.due_events(before=NOON + HOUR, limit=1000)]


@pytest.fixture(params=["sqlite", "dynamodb"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield Tables(
                SqliteEventTable(database),
                SqliteWebhookEndpointTable(database),
                SqliteImageTable(database),
                SqliteJobTable(database, clock=system_clock),
            )
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield Tables(
                DynamoDBEventTable(table),
                DynamoDBWebhookEndpointTable(table),
                DynamoDBImageTable(table),
                DynamoDBJobTable(table),
            )


def make_event(event_type: EventType = EventType.IMAGE_CREATED, *, age: timedelta = timedelta(0)) -> Event:
    return Event(new_id(), event_type, NOON - age, '{"type": "image.created", "data": {}}')


def make_endpoint() -> WebhookEndpoint:
    return WebhookEndpoint(
        new_id(),
        "https://hooks.example.com/images",
        (EventType.IMAGE_CREATED, EventType.JOB_FAILED),
        "whsec_AAAA",
        NOON,
    )


async def test_due_events_are_found_oldest_first_until_they_are_dispatched(tables: Tables):
    old, new = make_event(age=HOUR), make_event()
    image = make_image(new_id())
    await tables.images.add(image, quota=Quota(), events=[new, old])
    due = [id_ for id_ in await tables.due() if id_ in (old.id, new.id)]
    assert due == [old.id, new.id]
    assert await tables.events.find_event(old.id) == old
    await tables.events.mark_dispatched(old, now=NOON)
    await tables.events.mark_dispatched(old, now=NOON)
    due = await tables.due()
    assert old.id not in due
    assert new.id in due
    assert await tables.events.find_event(old.id) == old


async def test_sqlite_removes_dispatched_events_after_30_days(tables: Tables):
    if not isinstance(tables.events, SqliteEventTable):
        pytest.skip("DynamoDB deletes them by TTL")
    old, new = make_event(age=HOUR), make_event()
    await tables.images.add(make_image(new_id()), quota=Quota(), events=[new, old])
    await tables.events.mark_dispatched(old, now=NOON)
    await tables.events.mark_dispatched(make_event(), now=NOON + timedelta(days=31))
    assert await tables.events.find_event(old.id) is None
    assert await tables.events.find_event(new.id) == new  # It was never dispatched.


async def test_a_refused_image_adds_no_event(tables: Tables):
    event = make_event()
    with pytest.raises(QuotaExceeded):
        await tables.images.add(make_image(new_id()), quota=Quota(bytes=1), events=[event])
    assert await tables.events.find_event(event.id) is None


async def test_adding_an_image_again_adds_no_event(tables: Tables):
    image, first, second = make_image(new_id()), make_event(), make_event()
    await tables.images.add(image, quota=Quota(), events=[first])
    await tables.images.add(image, quota=Quota(), events=[second])
    assert await tables.events.find_event(first.id) == first
    assert await tables.events.find_event(second.id) is None


async def test_removing_an_image_adds_the_event_once(tables: Tables):
    image, first, second = make_image(new_id()), make_event(), make_event()
    await tables.images.add(image, quota=Quota())
    await tables.images.remove(image.owner_id, image.id, deleted_at=NOON, events=[first])
    with pytest.raises(ImageMissing):
        await tables.images.remove(image.owner_id, image.id, deleted_at=NOON, events=[second])
    assert await tables.events.find_event(first.id) == first
    assert await tables.events.find_event(second.id) is None


async def test_thumbnails_and_events_need_the_claim(tables: Tables):
    image, unclaimed, lost = make_image(new_id()), make_event(), make_event()
    await tables.images.add(image, quota=Quota())
    await tables.images.update_thumbnails(image, events=[unclaimed])
    assert await tables.events.find_event(unclaimed.id) == unclaimed
    with pytest.raises(ClaimLost):
        await tables.images.update_thumbnails(image, claim=JobClaim(new_id(), new_id()), events=[lost])
    assert await tables.events.find_event(lost.id) is None


async def test_only_the_attempt_that_finishes_a_job_adds_the_event(tables: Tables):
    job, event, late = make_job(new_id(), event_id=new_id()), make_event(), make_event()
    await tables.jobs.add_job(job)
    claimed = await tables.jobs.claim_job(job.owner_id, job.id, claim=new_id(), now=NOON, lease_until=NOON + HOUR)
    assert claimed is not None
    assert claimed.event_id == job.event_id
    finished = replace(claimed, status=JobStatus.COMPLETED, due_at=None)
    assert not await tables.jobs.save_job(replace(finished, claim=new_id()), events=[late])
    assert await tables.jobs.save_job(finished, events=[event])
    assert await tables.jobs.find_job(job.owner_id, job.id) == finished
    assert await tables.events.find_event(event.id) == event
    assert await tables.events.find_event(late.id) is None


async def test_endpoints_are_added_edited_listed_and_removed(tables: Tables):
    first, second = make_endpoint(), make_endpoint()
    await tables.endpoints.add_endpoint(first)
    await tables.endpoints.add_endpoint(second)
    assert [e for e in await tables.endpoints.endpoints() if e.id in (first.id, second.id)] == [first, second]
    changes = {
        "event_types": (EventType.ACCOUNT_DELETED,),
        "previous_secret": first.secret,
        "previous_secret_until": NOON,
        "secret": "whsec_BBBB",
    }
    edited = await tables.endpoints.edit_endpoint(first.id, changes=changes)
    assert edited == replace(first, **changes)  # type: ignore[arg-type]
    assert await tables.endpoints.find_endpoint(first.id) == edited
    disabled = await tables.endpoints.edit_endpoint(first.id, changes={"disabled_at": NOON})
    assert disabled is not None
    assert disabled.disabled_at == NOON
    assert await tables.endpoints.edit_endpoint(first.id, changes={"disabled_at": None}) == edited
    assert await tables.endpoints.remove_endpoint(first.id) == edited
    assert await tables.endpoints.remove_endpoint(first.id) is None
    assert await tables.endpoints.find_endpoint(first.id) is None
    assert await tables.endpoints.edit_endpoint(first.id, changes={"disabled_at": NOON}) is None
