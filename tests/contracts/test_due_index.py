"""The index of due items in DynamoDB: its shards, and items of a version that did not use shards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.ids import new_id
from app.domain.images import Quota, Tombstone
from app.domain.jobs import DueJob, JobStatus
from app.tables.dynamodb import (
    DynamoDBDirectUploadTable,
    DynamoDBJobTable,
    DynamoDBOwnerTable,
    DynamoDBTable,
    DynamoDBTombstoneTable,
    keys,
)
from app.tables.dynamodb.keys import DUE_JOBS, DUE_SHARDS, DUE_TOMBSTONES, DUE_UPLOADS, due_partition, due_partitions
from tests.aws_emulators import AwsEmulator
from tests.contracts.tables import NOON, make_job, open_table
from tests.contracts.test_direct_upload_table import make_upload

MINUTE = timedelta(minutes=1)
LONG_AGO = NOON.replace(year=1998)
"""Before the due times of the items of all other tests."""


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


@pytest.fixture
async def table(aws: AwsEmulator, owner: str) -> AsyncIterator[DynamoDBTable]:
    async with open_table(aws) as opened:
        yield opened
        # Due items are visible to all tests.
        await DynamoDBOwnerTable(opened).delete_owner_data(owner, except_job_id="", deleted_at=NOON)


async def set_due(table: DynamoDBTable, key: keys.Key, due: str) -> None:
    """Store the item as an earlier version did."""
    await table.update(key, UpdateExpression="SET #due = :due", values={"due": due})


async def due_of(table: DynamoDBTable, key: keys.Key) -> str | None:
    return (await table.find(key) or {}).get("due")


def test_ids_are_spread_evenly_over_the_shards() -> None:
    counts = Counter(due_partition(DUE_JOBS, new_id()) for _ in range(DUE_SHARDS * 200))
    assert set(counts) == set(due_partitions(DUE_JOBS)) - {DUE_JOBS}
    assert max(counts.values()) < 300


def test_an_item_never_changes_its_shard() -> None:
    image_id = "0199aaaa-0000-7000-8000-000000000000"
    names = [due_partition(kind, image_id) for kind in (DUE_JOBS, DUE_TOMBSTONES, DUE_UPLOADS)]
    assert names == ["JOBS#03", "DELETIONS#03", "UPLOADS#03"]


async def test_jobs_of_all_shards_and_of_an_earlier_version_are_due_oldest_first(
    table: DynamoDBTable, owner: str
) -> None:
    jobs = DynamoDBJobTable(table)
    added = [make_job(owner, due_at=LONG_AGO + n * MINUTE) for n in range(100)]
    await asyncio.gather(*map(jobs.add_job, added))
    for job in added[::7]:
        await set_due(table, keys.job_key(owner, job.id), "JOBS")
    expected = [DueJob(owner, job.id, LONG_AGO + n * MINUTE) for n, job in enumerate(added)]
    assert await jobs.due_jobs(before=LONG_AGO + 100 * MINUTE, limit=1000) == expected
    assert await jobs.due_jobs(before=LONG_AGO + 100 * MINUTE, limit=9) == expected[:9]
    assert await jobs.due_jobs(before=LONG_AGO + 50 * MINUTE, limit=1000) == expected[:50]


async def test_workers_of_both_versions_process_the_same_job(table: DynamoDBTable, owner: str) -> None:
    jobs = DynamoDBJobTable(table)
    job = make_job(owner, due_at=LONG_AGO)
    key = keys.job_key(owner, job.id)
    await jobs.add_job(job)
    await set_due(table, key, "JOBS")
    claimed = await jobs.claim_job(owner, job.id, claim="new", now=LONG_AGO, lease_until=LONG_AGO + MINUTE)
    assert claimed
    assert await due_of(table, key) == "JOBS"  # a claim costs no more index writes than before
    assert await jobs.due_jobs(before=LONG_AGO + 2 * MINUTE, limit=10) == [DueJob(owner, job.id, LONG_AGO + MINUTE)]
    assert await jobs.save_job(replace(claimed, status=JobStatus.RETRYING))
    assert await due_of(table, key) == due_partition(DUE_JOBS, job.id)
    assert await jobs.due_jobs(before=LONG_AGO + 2 * MINUTE, limit=10) == [DueJob(owner, job.id, LONG_AGO + MINUTE)]
    await set_due(table, key, "JOBS")  # an earlier worker saved it
    again = await jobs.claim_job(owner, job.id, claim="again", now=LONG_AGO + MINUTE, lease_until=LONG_AGO + 2 * MINUTE)
    assert again
    assert await jobs.save_job(replace(again, status=JobStatus.COMPLETED, due_at=None))
    assert await due_of(table, key) is None
    assert await jobs.due_jobs(before=NOON.replace(year=1999), limit=10) == []


async def test_open_tombstones_of_both_versions_are_found_and_closed(table: DynamoDBTable, owner: str) -> None:
    tombstones = DynamoDBTombstoneTable(table)
    added = [Tombstone(owner, new_id(), LONG_AGO + n * MINUTE) for n in range(6)]
    for tombstone in added:
        assert await tombstones.add_tombstone(tombstone)
    for tombstone in added[::2]:
        await set_due(table, keys.tombstone_key(owner, tombstone.image_id), "DELETIONS")
    assert await tombstones.open_tombstones(deleted_before=LONG_AGO + 10 * MINUTE, limit=100) == added
    for tombstone in added:
        await tombstones.close_tombstone(tombstone, now=NOON)
    assert await tombstones.open_tombstones(deleted_before=LONG_AGO + 10 * MINUTE, limit=100) == []


async def test_expired_uploads_of_both_versions_are_found_and_released(table: DynamoDBTable, owner: str) -> None:
    uploads = DynamoDBDirectUploadTable(table)
    added = [make_upload(owner, expires_at=LONG_AGO + n * MINUTE) for n in range(6)]
    for upload in added:
        await uploads.add_upload(upload, quota=Quota())
    for upload in added[::2]:
        await set_due(table, keys.upload_key(owner, upload.id), "UPLOADS")
    assert await uploads.expired_uploads(before=LONG_AGO + 10 * MINUTE, limit=100) == added
    for upload in added:
        await uploads.release_upload(upload)
    assert await uploads.expired_uploads(before=LONG_AGO + 10 * MINUTE, limit=100) == []
