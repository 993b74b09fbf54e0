"""The contract of every DirectUploadTable: see app.ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from app.domain.ids import new_id
from app.domain.images import Quota
from app.domain.uploads import DirectUpload, Refusal
from app.ports.upload_table import DirectUploadTable
from app.tables.dynamodb import DynamoDBDirectUploadTable, DynamoDBImageTable
from app.tables.sqlite import SqliteDirectUploadTable, open_sqlite
from tests.aws_emulators import AwsEmulator
from tests.contracts.tables import NOON, make_image, open_table

DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)


@pytest.fixture(params=["sqlite", "dynamodb"])
async def uploads(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DirectUploadTable]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield SqliteDirectUploadTable(database, clock=lambda: NOON)
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield DynamoDBDirectUploadTable(table)


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


def make_upload(owner_id: str, **changes: object) -> DirectUpload:
    upload = DirectUpload(
        id=new_id(),
        owner_id=owner_id,
        filename="beach 🏖.jpg",
        description="At the sea",
        content_type="image/jpeg",
        size=4_945_838,
        sha256="0f" * 32,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        is_open=True,
    )
    return replace(upload, **cast(dict[str, Any], changes))


async def test_added_upload_is_returned_unchanged(uploads: DirectUploadTable, owner: str) -> None:
    upload = make_upload(owner)
    await uploads.add_upload(upload, quota=Quota())
    assert await uploads.find_upload(owner, upload.id) == upload


async def test_an_upload_without_description_and_checksum_and_in_another_time_zone(
    uploads: DirectUploadTable, owner: str
) -> None:
    expires_at = datetime.now(timezone(timedelta(hours=-5))).replace(microsecond=0) + DAY
    upload = make_upload(owner, description=None, sha256=None, expires_at=expires_at)
    await uploads.add_upload(upload, quota=Quota())
    assert await uploads.find_upload(owner, upload.id) == upload


async def test_an_unknown_upload_is_none(uploads: DirectUploadTable, owner: str) -> None:
    assert await uploads.find_upload(owner, new_id()) is None


async def test_another_owners_upload_is_none(uploads: DirectUploadTable, owner: str) -> None:
    upload = make_upload(owner)
    await uploads.add_upload(upload, quota=Quota())
    for stranger in (f"{owner}-2", owner[:-1], ""):
        assert await uploads.find_upload(stranger, upload.id) is None


async def test_uploads_of_two_owners_with_one_id_are_independent(uploads: DirectUploadTable, owner: str) -> None:
    upload = make_upload(owner)
    strangers = replace(upload, owner_id=f"{owner}-2", filename="other.png")
    await uploads.add_upload(upload, quota=Quota())
    await uploads.add_upload(strangers, quota=Quota())
    assert await uploads.find_upload(owner, upload.id) == upload
    assert await uploads.find_upload(f"{owner}-2", upload.id) == strangers


async def test_adding_again_changes_nothing(uploads: DirectUploadTable, owner: str) -> None:
    upload = make_upload(owner)
    await uploads.add_upload(upload, quota=Quota())
    await uploads.add_upload(upload, quota=Quota())
    await uploads.add_upload(
        replace(upload, size=1, filename="other.png", expires_at=upload.expires_at + DAY), quota=Quota()
    )
    assert await uploads.find_upload(owner, upload.id) == upload


async def test_one_of_many_concurrent_additions_with_one_id_is_kept(uploads: DirectUploadTable, owner: str) -> None:
    upload = make_upload(owner)
    rivals = [replace(upload, size=n) for n in range(1, 21)]
    await asyncio.gather(*(uploads.add_upload(rival, quota=Quota()) for rival in rivals))
    first = await uploads.find_upload(owner, upload.id)
    assert first in rivals
    await asyncio.gather(*(uploads.add_upload(rival, quota=Quota()) for rival in rivals if rival != first))
    assert await uploads.find_upload(owner, upload.id) == first


async def test_upload_with_an_expired_form_is_still_found(uploads: DirectUploadTable, owner: str) -> None:
    upload = make_upload(owner, expires_at=datetime.now(UTC) - timedelta(hours=23))
    await uploads.add_upload(upload, quota=Quota())
    await uploads.add_upload(make_upload(owner), quota=Quota())
    assert await uploads.find_upload(owner, upload.id) == upload


async def test_sqlite_removes_an_upload_exactly_one_day_after_its_expiration(tmp_path: Path, owner: str) -> None:
    now = NOON
    upload = make_upload(owner, expires_at=NOON)
    async with open_sqlite(tmp_path / "service.db") as database:
        uploads = SqliteDirectUploadTable(database, clock=lambda: now)
        await uploads.add_upload(upload, quota=Quota())
        await uploads.release_upload(upload)
        upload = replace(upload, is_open=False)
        now = NOON + DAY - INSTANT
        await uploads.add_upload(make_upload(owner, expires_at=NOON + DAY), quota=Quota())
        assert await uploads.find_upload(owner, upload.id) == upload
        now = NOON + DAY
        await uploads.add_upload(make_upload(owner, expires_at=NOON + DAY), quota=Quota())
        assert await uploads.find_upload(owner, upload.id) is None
        assert len(await database.read("SELECT * FROM direct_uploads")) == 2


async def test_dynamodb_may_delete_an_upload_a_day_after_its_end_unless_it_is_open(
    aws: AwsEmulator, owner: str
) -> None:
    async with open_table(aws) as table:
        upload = make_upload(owner, expires_at=NOON)
        key = {"pk": f"USER#{owner}", "sk": f"UPLOAD#{upload.id}"}
        await DynamoDBDirectUploadTable(table).add_upload(upload, quota=Quota())
        item = await table.find(key)
        assert item
        assert "expires_at" not in item
        await DynamoDBDirectUploadTable(table).release_upload(upload)
        item = await table.find(key)
        assert item
        assert item["expires_at"] == int((NOON + DAY).timestamp()) + 1


async def test_dynamodb_lists_no_upload_among_the_images(aws: AwsEmulator, owner: str) -> None:
    async with open_table(aws) as table:
        image = make_image(owner)
        images = DynamoDBImageTable(table)
        await images.add(image, quota=Quota())
        await DynamoDBDirectUploadTable(table).add_upload(make_upload(owner), quota=Quota())
        assert await images.page(owner, before=None, limit=10) == [image]
        assert [each async for each in images.walk(owner)] == [image]


async def test_of_two_requests_that_saw_the_same_version_one_saves_its_progress(
    uploads: DirectUploadTable, owner: str
) -> None:
    seen = make_upload(owner, parts_id="parts")
    await uploads.add_upload(seen, quota=Quota())
    rivals = [replace(seen, received=n, holder=f"request {n}", version=1) for n in range(1, 11)]
    results = await asyncio.gather(*(uploads.save_progress(rival, seen=seen) for rival in rivals))
    assert results.count(True) == 1
    saved = rivals[results.index(True)]
    assert await uploads.find_upload(owner, seen.id) == saved
    released = replace(saved, holder=None, version=2)
    assert await uploads.save_progress(released, seen=saved)
    assert not await uploads.save_progress(replace(saved, version=2), seen=saved)
    assert await uploads.find_upload(owner, seen.id) == released


async def test_the_progress_of_a_removed_upload_is_not_saved(uploads: DirectUploadTable, owner: str) -> None:
    upload = make_upload(owner, parts_id="parts")
    await uploads.add_upload(upload, quota=Quota())
    await uploads.remove_upload(upload)
    assert not await uploads.save_progress(replace(upload, version=1), seen=upload)
    assert await uploads.find_upload(owner, upload.id) is None


async def test_a_refusal_is_kept_and_does_not_create_a_missing_upload(uploads: DirectUploadTable, owner: str) -> None:
    upload = make_upload(owner)
    refusal = Refusal("image_corrupt", "The image is damaged.")
    await uploads.save_refusal(upload, refusal)
    assert await uploads.find_upload(owner, upload.id) is None
    await uploads.add_upload(upload, quota=Quota())
    await uploads.save_refusal(upload, refusal)
    assert await uploads.find_upload(owner, upload.id) == replace(upload, refusal=refusal)
