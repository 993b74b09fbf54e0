"""Writes under a claim, on every table: they succeed only while the claim is held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.claims import ClaimLost, IdempotencyRecord, RequestClaim
from app.domain.errors import ImageMissing, QuotaExceeded
from app.domain.ids import new_id
from app.domain.images import Quota, Usage
from app.domain.jobs import Job, JobStatus
from app.domain.uploads import DirectUpload
from app.ports.tables import IdempotencyTable, ImageTable, JobTable
from app.ports.upload_table import DirectUploadTable
from app.tables.dynamodb import (
    DynamoDBDirectUploadTable,
    DynamoDBIdempotencyTable,
    DynamoDBImageTable,
    DynamoDBJobTable,
)
from app.tables.sqlite import (
    SqliteDirectUploadTable,
    SqliteIdempotencyTable,
    SqliteImageTable,
    SqliteJobTable,
    open_sqlite,
)
from tests.contracts.tables import FAILED, NOON, READY, make_image, make_job, open_table

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Tables:
    images: ImageTable
    uploads: DirectUploadTable
    once: IdempotencyTable
    jobs: JobTable


@pytest.fixture(params=["sqlite", "dynamodb"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield Tables(
                SqliteImageTable(database),
                SqliteDirectUploadTable(database, clock=lambda: NOON),
                SqliteIdempotencyTable(database),
                SqliteJobTable(database, clock=lambda: NOON),
            )
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield Tables(
                DynamoDBImageTable(table),
                DynamoDBDirectUploadTable(table),
                DynamoDBIdempotencyTable(table),
                DynamoDBJobTable(table),
            )


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


def make_record(owner: str) -> IdempotencyRecord:
    return IdempotencyRecord(owner, "key", "print", new_id(), done=False, leased_until=NOON, expires_at=NOON + HOUR)


async def begin(tables: Tables, owner: str) -> IdempotencyRecord:
    record = make_record(owner)
    assert await tables.once.begin(record, now=NOON) is None
    return record


async def take_over(tables: Tables, seen: IdempotencyRecord) -> IdempotencyRecord:
    successor = make_record(seen.owner_id)
    assert await tables.once.take_over(successor, seen=seen)
    return successor


async def claim_job(tables: Tables, owner: str, *, job: Job | None = None) -> Job:
    if job is None:
        job = make_job(owner)
        await tables.jobs.add_job(job)
    claimed = await tables.jobs.claim_job(owner, job.id, claim=new_id(), now=NOON, lease_until=NOON)
    assert claimed
    return claimed


def make_upload(owner: str, upload_id: str) -> DirectUpload:
    return DirectUpload(upload_id, owner, "a.jpg", None, "image/jpeg", 5, None, NOON + HOUR, is_open=True)


Add = Callable[[Tables, str, RequestClaim], Awaitable[None]]


async def add_image(tables: Tables, owner: str, claim: RequestClaim) -> None:
    await tables.images.add(make_image(owner, id=claim.result_id), quota=Quota(), claim=claim)


async def add_upload(tables: Tables, owner: str, claim: RequestClaim) -> None:
    await tables.uploads.add_upload(make_upload(owner, claim.result_id), quota=Quota(), claim=claim)


async def add_job(tables: Tables, owner: str, claim: RequestClaim) -> None:
    await tables.jobs.add_job(make_job(owner, id=claim.result_id), claim=claim)


async def exists(tables: Tables, owner: str, result_id: str) -> bool:
    try:
        await tables.images.get(owner, result_id)
    except ImageMissing:
        found = [await tables.uploads.find_upload(owner, result_id), await tables.jobs.find_job(owner, result_id)]
        return any(found)
    return True


@pytest.mark.parametrize("add", [add_image, add_upload, add_job])
async def test_adding_a_record_completes_its_request(tables: Tables, owner: str, add: Add) -> None:
    record = await begin(tables, owner)
    await add(tables, owner, record.claim)
    assert await exists(tables, owner, record.result_id)
    assert await tables.once.find(owner, record.key) == replace(record, done=True)
    # The response may have been lost: repeating the write changes nothing and is not an error.
    await add(tables, owner, record.claim)
    assert not await tables.once.take_over(make_record(owner), seen=record)


@pytest.mark.parametrize("add", [add_image, add_upload, add_job])
async def test_nothing_is_added_for_a_request_that_another_caller_took_over(
    tables: Tables, owner: str, add: Add
) -> None:
    record = await begin(tables, owner)
    successor = await take_over(tables, record)
    with pytest.raises(ClaimLost):
        await add(tables, owner, record.claim)
    assert not await exists(tables, owner, record.result_id)
    assert await tables.images.usage(owner) == Usage()
    await add(tables, owner, successor.claim)
    assert await exists(tables, owner, successor.result_id)


@pytest.mark.parametrize("add", [add_image, add_upload, add_job])
async def test_nothing_is_added_for_an_abandoned_request(tables: Tables, owner: str, add: Add) -> None:
    record = await begin(tables, owner)
    await tables.once.abandon(record)
    with pytest.raises(ClaimLost):
        await add(tables, owner, record.claim)
    assert not await exists(tables, owner, record.result_id)


async def test_image_over_the_quota_does_not_complete_its_request(tables: Tables, owner: str) -> None:
    record = await begin(tables, owner)
    with pytest.raises(QuotaExceeded):
        await tables.images.add(make_image(owner, id=record.result_id), quota=Quota(bytes=1), claim=record.claim)
    assert await tables.once.find(owner, record.key) == record


async def test_exactly_one_of_concurrent_addition_and_takeover_succeeds(tables: Tables, owner: str) -> None:
    for _ in range(10):
        record, successor = make_record(owner), make_record(owner)
        await tables.once.begin(record, now=NOON)
        added, is_taken = await asyncio.gather(
            add_image(tables, owner, record.claim),
            tables.once.take_over(successor, seen=record),
            return_exceptions=True,
        )
        assert isinstance(added, ClaimLost) is bool(is_taken)
        await tables.once.abandon(successor)
        owner = f"owner-{new_id()}"


async def test_image_is_added_while_its_job_is_claimed(tables: Tables, owner: str) -> None:
    job = await claim_job(tables, owner)
    image = make_image(owner)
    await tables.images.add(image, quota=Quota(), claim=job.job_claim)
    assert await tables.images.get(owner, image.id) == image
    await tables.images.update_thumbnails(replace(image, thumbnails=(FAILED,)), claim=job.job_claim)
    assert (await tables.images.get(owner, image.id)).thumbnails == (FAILED,)


async def test_nothing_is_written_for_a_job_that_another_worker_has_claimed(tables: Tables, owner: str) -> None:
    job = await claim_job(tables, owner)
    image = make_image(owner)
    await tables.images.add(image, quota=Quota())
    await claim_job(tables, owner, job=job)
    with pytest.raises(ClaimLost):
        await tables.images.add(make_image(owner), quota=Quota(), claim=job.job_claim)
    with pytest.raises(ClaimLost):
        await tables.images.update_thumbnails(replace(image, thumbnails=(FAILED,)), claim=job.job_claim)
    assert (await tables.images.get(owner, image.id)).thumbnails == (READY,)
    assert (await tables.images.usage(owner)).images == 1


async def test_nothing_is_written_for_a_job_that_has_ended(tables: Tables, owner: str) -> None:
    job = await claim_job(tables, owner)
    assert await tables.jobs.save_job(replace(job, status=JobStatus.COMPLETED, due_at=None))
    with pytest.raises(ClaimLost):
        await tables.images.add(make_image(owner), quota=Quota(), claim=job.job_claim)
    image = make_image(owner)
    await tables.images.add(image, quota=Quota())
    with pytest.raises(ClaimLost):
        await tables.images.update_thumbnails(image, claim=job.job_claim)


async def test_thumbnails_of_a_removed_image_are_not_written(tables: Tables, owner: str) -> None:
    job = await claim_job(tables, owner)
    with pytest.raises(ImageMissing):
        await tables.images.update_thumbnails(make_image(owner), claim=job.job_claim)
