"""The contract of every OwnerTable together with its ImageTable: see app.ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.claims import IdempotencyRecord
from app.domain.errors import ImageMissing, OwnerClosed, QuotaExceeded
from app.domain.ids import new_id
from app.domain.images import Quota, Usage
from app.domain.uploads import DirectUpload
from app.ports.tables import IdempotencyTable, ImageTable, JobTable, OwnerTable
from app.ports.upload_table import DirectUploadTable
from app.tables.dynamodb import (
    DynamoDBDirectUploadTable,
    DynamoDBIdempotencyTable,
    DynamoDBImageTable,
    DynamoDBJobTable,
    DynamoDBOwnerTable,
    DynamoDBTable,
)
from app.tables.dynamodb.keys import usage_key
from app.tables.sqlite import (
    SqliteDirectUploadTable,
    SqliteIdempotencyTable,
    SqliteImageTable,
    SqliteJobTable,
    SqliteOwnerTable,
    open_sqlite,
)
from tests.aws_emulators import AwsEmulator
from tests.contracts.tables import NOON, make_image, make_job, make_source, open_table

DAY = timedelta(days=1)
EAN = "4006381333931"


@dataclass(frozen=True)
class Tables:
    owners: OwnerTable
    images: ImageTable
    uploads: DirectUploadTable
    once: IdempotencyTable
    jobs: JobTable


@pytest.fixture(params=["sqlite", "dynamodb"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield Tables(
                SqliteOwnerTable(database, clock=lambda: NOON),
                SqliteImageTable(database),
                SqliteDirectUploadTable(database, clock=lambda: NOON),
                SqliteIdempotencyTable(database),
                SqliteJobTable(database, clock=lambda: NOON),
            )
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield Tables(
                DynamoDBOwnerTable(table),
                DynamoDBImageTable(table),
                DynamoDBDirectUploadTable(table),
                DynamoDBIdempotencyTable(table),
                DynamoDBJobTable(table),
            )


@pytest.fixture
def owners(tables: Tables) -> OwnerTable:
    return tables.owners


@pytest.fixture
def images(tables: Tables) -> ImageTable:
    return tables.images


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


def make_upload(owner_id: str) -> DirectUpload:
    return DirectUpload(
        id=new_id(),
        owner_id=owner_id,
        filename="beach.jpg",
        description=None,
        content_type="image/jpeg",
        size=1000,
        sha256=None,
        expires_at=NOON + DAY,
        is_open=True,
    )


def make_once(owner_id: str, key: str) -> IdempotencyRecord:
    return IdempotencyRecord(
        owner_id=owner_id,
        key=key,
        fingerprint="0f",
        result_id=new_id(),
        done=False,
        leased_until=NOON + DAY,
        expires_at=NOON + DAY,
    )


async def test_closing_an_owner_does_not_affect_others(owners: OwnerTable, owner: str) -> None:
    assert not await owners.is_blocked(owner)
    await owners.block_writes(owner, until=NOON + DAY)
    await owners.block_writes(owner, until=NOON + DAY)
    assert await owners.is_blocked(owner)
    assert not await owners.is_blocked(f"{owner}x")


@pytest.mark.parametrize("quota", [Quota(), Quota(images=1), Quota(bytes=1), Quota(images=100, bytes=10**9)])
@pytest.mark.parametrize("kept", [0, 1], ids=["new", "with an image"])
async def test_nothing_is_added_for_a_closed_owner_regardless_of_the_quota(
    owners: OwnerTable, images: ImageTable, owner: str, quota: Quota, kept: int
) -> None:
    for _ in range(kept):
        await images.add(make_image(owner), quota=Quota())
    await owners.block_writes(owner, until=NOON + DAY)
    with pytest.raises(OwnerClosed, match="The account of this access token was closed"):
        await images.add(make_image(owner, source=make_source(EAN)), quota=quota)
    assert await images.usage(owner) == Usage(kept, 1000 * kept)
    assert len(await images.page(owner, before=None, limit=10)) == kept
    with pytest.raises(ImageMissing):
        await images.get_newest_of_product(owner, EAN)


async def test_open_owner_over_the_quota_gets_the_quota_error(images: ImageTable, owner: str) -> None:
    with pytest.raises(QuotaExceeded):
        await images.add(make_image(owner), quota=Quota(bytes=1))


async def test_existing_image_can_be_added_again(owners: OwnerTable, images: ImageTable, owner: str) -> None:
    image = make_image(owner)
    await images.add(image, quota=Quota())
    await owners.block_writes(owner, until=NOON + DAY)
    await images.add(image, quota=Quota())
    assert await images.usage(owner) == Usage(1, 1000)


@pytest.mark.worker_only
async def test_images_of_a_closed_owner_can_be_read_and_removed(
    owners: OwnerTable, images: ImageTable, owner: str
) -> None:
    added = [make_image(owner, source=make_source(EAN)) for _ in range(3)]
    for image in added:
        await images.add(image, quota=Quota())
    await owners.block_writes(owner, until=NOON + DAY)
    assert [image async for image in images.walk(owner)] == added
    assert await images.page(owner, before=None, limit=10) == added[::-1]
    assert owner in [each async for each in images.owners()]
    assert await images.get_newest_of_product(owner, EAN) == added[2]
    assert await images.remove(owner, added[2].id) == added[2]
    assert await images.get_newest_of_product(owner, EAN) == added[1]
    assert await images.usage(owner) == Usage(2, 2000)
    assert await owners.is_blocked(owner)


async def test_concurrent_addition_and_closing_leave_a_consistent_state(
    owners: OwnerTable, images: ImageTable, owner: str
) -> None:
    added = [make_image(owner) for _ in range(20)]
    adding = [asyncio.create_task(images.add(image, quota=Quota(images=100))) for image in added]
    await owners.block_writes(owner, until=NOON + DAY)
    # Every addition that starts from here on is rejected. Earlier ones may be.
    with pytest.raises(OwnerClosed):
        await images.add(make_image(owner), quota=Quota())
    results = await asyncio.gather(*adding, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), OwnerClosed}
    there = [image async for image in images.walk(owner)]
    assert there == [image for image, result in zip(added, results, strict=True) if result is None]
    assert await images.usage(owner) == Usage(len(there), 1000 * len(there))


async def test_removing_owner_data_keeps_images_the_mark_and_one_job(tables: Tables, owner: str) -> None:
    image, upload, job = make_image(owner, source=make_source(EAN)), make_upload(owner), make_job(owner)
    kept = make_job(owner)
    await tables.images.add(image, quota=Quota())
    await tables.uploads.add_upload(upload, quota=Quota())
    for n in range(50):
        await tables.once.begin(make_once(owner, f"key-{n}"), now=NOON)
    await tables.jobs.add_job(job)
    await tables.jobs.add_job(kept)
    await tables.owners.block_writes(owner, until=NOON + DAY)

    await tables.owners.delete_owner_data(owner, except_job_id=kept.id, deleted_at=NOON)

    assert await tables.owners.is_blocked(owner)
    assert await tables.jobs.find_job(owner, kept.id) == kept
    assert await tables.images.usage(owner) == Usage()
    assert await tables.uploads.find_upload(owner, upload.id) is None
    assert await tables.jobs.find_job(owner, job.id) is None
    for n in range(50):
        assert await tables.once.begin(make_once(owner, f"key-{n}"), now=NOON) is None
    assert [each async for each in tables.images.walk(owner)] == [image]
    assert await tables.images.get_newest_of_product(owner, EAN) == image
    with pytest.raises(OwnerClosed):
        await tables.images.add(make_image(owner), quota=Quota())


async def test_removing_the_data_of_one_owner_does_not_affect_another(tables: Tables, owner: str) -> None:
    other = f"{owner}x"
    upload, record, job = make_upload(other), make_once(other, "key"), make_job(other)
    await tables.images.add(make_image(other), quota=Quota())
    await tables.uploads.add_upload(upload, quota=Quota())
    await tables.once.begin(record, now=NOON)
    await tables.jobs.add_job(job)
    await tables.owners.delete_owner_data(owner, except_job_id="", deleted_at=NOON)
    assert await tables.images.usage(other) == Usage(1, 1000, reserved_bytes=1000, open_uploads=1)
    assert await tables.uploads.find_upload(other, upload.id) == upload
    assert await tables.once.begin(make_once(other, "key"), now=NOON) == record
    assert await tables.jobs.find_job(other, job.id) == job
    await tables.owners.delete_owner_data(other, except_job_id="", deleted_at=NOON)


async def test_open_owner_starts_again_after_its_data_was_removed(
    owners: OwnerTable, images: ImageTable, owner: str
) -> None:
    image = make_image(owner)
    await images.add(image, quota=Quota())
    await images.remove(owner, image.id)
    await owners.delete_owner_data(owner, except_job_id="", deleted_at=NOON)
    await owners.delete_owner_data(owner, except_job_id="", deleted_at=NOON)
    assert not await owners.is_blocked(owner)
    await images.add(image, quota=Quota(images=1))
    assert await images.usage(owner) == Usage(1, 1000)


@pytest.mark.parametrize("closed", [True, False])
async def test_removing_an_image_after_the_owner_data_restores_no_usage(
    owners: OwnerTable, images: ImageTable, owner: str, *, closed: bool
) -> None:
    added = [make_image(owner, source=make_source(EAN)) for _ in range(2)]
    for image in added:
        await images.add(image, quota=Quota())
    if closed:
        await owners.block_writes(owner, until=NOON + DAY)
    await owners.delete_owner_data(owner, except_job_id="", deleted_at=NOON)
    assert [await images.remove(owner, image.id) for image in added] == added
    assert await images.usage(owner) == Usage(0, 0)
    assert [each async for each in images.walk(owner)] == []
    assert await owners.is_blocked(owner) is closed
    with pytest.raises(ImageMissing):
        await images.get_newest_of_product(owner, EAN)
    with pytest.raises(ImageMissing):
        await images.remove(owner, added[0].id)


@pytest.fixture
async def table(aws: AwsEmulator) -> AsyncIterator[DynamoDBTable]:
    async with open_table(aws) as opened:
        yield opened


async def test_dynamodb_may_delete_the_expired_mark_but_not_the_usage(table: DynamoDBTable, owner: str) -> None:
    owners = DynamoDBOwnerTable(table)
    await DynamoDBImageTable(table).add(make_image(owner), quota=Quota())
    await owners.block_writes(owner, until=NOON + 2 * DAY)
    await owners.block_writes(owner, until=NOON + DAY)
    item = await table.find(usage_key(owner))
    assert item
    assert "expires_at" not in item
    await owners.delete_owner_data(owner, except_job_id="", deleted_at=NOON)
    item = await table.find(usage_key(owner))
    assert item
    assert item["expires_at"] == int((NOON + 2 * DAY).timestamp()) + 1
    assert not item.keys() & {"images", "bytes"}
    await owners.block_writes(owner, until=NOON + 3 * DAY)
    item = await table.find(usage_key(owner))
    assert item
    assert "expires_at" not in item


async def test_dynamodb_removes_the_data_of_an_owner_that_is_closed_concurrently(
    table: DynamoDBTable, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = DynamoDBOwnerTable(table)
    await DynamoDBImageTable(table).add(make_image(owner), quota=Quota())
    delete = table._client.delete_item

    async def close_and_delete(**request: object) -> object:
        await owners.block_writes(owner, until=NOON + DAY)
        return await delete(**request)  # type: ignore[arg-type]

    monkeypatch.setattr(table._client, "delete_item", close_and_delete)
    await owners.delete_owner_data(owner, except_job_id="", deleted_at=NOON)
    assert await owners.is_blocked(owner)
    assert await DynamoDBImageTable(table).usage(owner) == Usage()


async def test_expired_blocks_are_removed_from_sqlite(tmp_path: Path):
    async with open_sqlite(tmp_path / "service.db") as database:
        owners = SqliteOwnerTable(database, clock=lambda: NOON)
        await owners.block_writes("ada", until=NOON)
        await owners.block_writes("bob", until=NOON + timedelta(microseconds=1))
        await owners.block_writes("bob", until=NOON)
        await owners.block_writes("eve", until=NOON + DAY)
        assert [await owners.is_blocked(each) for each in ("ada", "bob", "eve")] == [False, True, True]
