"""Open direct uploads count in their owner's usage, and each reservation is released exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.common.upload_expiry import UploadExpiry
from app.domain.claims import ClaimLost, RequestClaim
from app.domain.errors import OwnerClosed, QuotaExceeded, TooManyOpenUploads
from app.domain.ids import new_id
from app.domain.images import Image, Quota, Usage
from app.domain.uploads import MAX_OPEN_UPLOADS, DirectUpload
from app.ports.tables import ImageTable, OwnerTable
from app.ports.upload_table import DirectUploadTable
from app.tables.dynamodb import DynamoDBDirectUploadTable, DynamoDBImageTable, DynamoDBOwnerTable
from app.tables.sqlite import SqliteDirectUploadTable, SqliteImageTable, SqliteOwnerTable, open_sqlite
from tests.aws_emulators import skip_where_transactions_are_slow
from tests.contracts.tables import NOON, make_image, open_table

HOUR = timedelta(hours=1)
SIZE = 1000
NO_PARTS: Any = None


@dataclass
class Tables:
    uploads: DirectUploadTable
    images: ImageTable
    owners: OwnerTable

    async def announce(
        self, owner: str, *, size: int = SIZE, quota: Quota | None = None, claim: RequestClaim | None = None
    ) -> DirectUpload:
        upload = DirectUpload(new_id(), owner, "a.jpg", None, "image/jpeg", size, None, NOON, is_open=True)
        await self.uploads.add_upload(upload, quota=quota or Quota(), claim=claim)
        return upload

    async def complete(self, upload: DirectUpload, *, quota: Quota | None = None) -> Image:
        image = make_image(upload.owner_id, id=upload.id, size=upload.size)
        await self.images.add(image, quota=quota or Quota(), upload=upload)
        return image

    async def expire(self) -> None:
        await UploadExpiry(self.uploads, NO_PARTS, clock=lambda: NOON + HOUR).run()


@pytest.fixture(params=["sqlite", "dynamodb"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield Tables(
                SqliteDirectUploadTable(database, clock=lambda: NOON),
                SqliteImageTable(database),
                SqliteOwnerTable(database, clock=lambda: NOON),
            )
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield Tables(DynamoDBDirectUploadTable(table), DynamoDBImageTable(table), DynamoDBOwnerTable(table))


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


@pytest.fixture
def quick_transactions(request: pytest.FixtureRequest, tables: Tables) -> None:
    if isinstance(tables.images, DynamoDBImageTable):
        skip_where_transactions_are_slow(request.getfixturevalue("aws"))


async def test_an_announced_upload_reserves_its_size(tables: Tables, owner: str):
    await tables.announce(owner)
    assert await tables.images.usage(owner) == Usage(0, 0, reserved_bytes=SIZE, open_uploads=1)


async def test_announcing_again_reserves_nothing_more(tables: Tables, owner: str):
    upload = await tables.announce(owner)
    await tables.uploads.add_upload(upload, quota=Quota())
    assert await tables.images.usage(owner) == Usage(0, 0, reserved_bytes=SIZE, open_uploads=1)


async def test_the_image_takes_the_place_of_the_reservation(tables: Tables, owner: str):
    quota = Quota(bytes=SIZE)
    upload = await tables.announce(owner, quota=quota)
    await tables.complete(upload, quota=quota)
    assert await tables.images.usage(owner) == Usage(1, SIZE)
    found = await tables.uploads.find_upload(owner, upload.id)
    assert found == replace(upload, is_open=False)
    await tables.complete(upload, quota=quota)
    assert await tables.images.usage(owner) == Usage(1, SIZE)


async def test_a_refused_image_keeps_the_reservation(tables: Tables, owner: str):
    await tables.images.add(make_image(owner, size=5), quota=Quota())
    upload = await tables.announce(owner)
    with pytest.raises(QuotaExceeded):
        await tables.complete(upload, quota=Quota(images=1))
    lost = RequestClaim("no such key", new_id())
    with pytest.raises(ClaimLost):
        await tables.images.add(make_image(owner), quota=Quota(), claim=lost, upload=upload)
    assert await tables.images.usage(owner) == Usage(1, 5, reserved_bytes=SIZE, open_uploads=1)


async def test_reserved_bytes_count_toward_the_quota(tables: Tables, owner: str):
    quota = Quota(bytes=2 * SIZE + 10)
    await tables.announce(owner, quota=quota)
    await tables.announce(owner, quota=quota)
    with pytest.raises(QuotaExceeded):
        await tables.announce(owner, size=11, quota=quota)
    with pytest.raises(QuotaExceeded):
        await tables.images.add(make_image(owner, size=11), quota=quota)
    await tables.images.add(make_image(owner, size=10), quota=quota)
    assert await tables.images.usage(owner) == Usage(1, 10, reserved_bytes=2 * SIZE, open_uploads=2)


async def test_the_quota_of_images_holds_beside_a_reservation(tables: Tables, owner: str):
    await tables.announce(owner)
    with pytest.raises(QuotaExceeded):
        await tables.images.add(make_image(owner, size=2 * SIZE), quota=Quota(bytes=2 * SIZE))


async def test_an_upload_larger_than_the_quota_is_refused_to_a_new_owner(tables: Tables, owner: str):
    with pytest.raises(QuotaExceeded):
        await tables.announce(owner, quota=Quota(bytes=SIZE - 1))
    assert await tables.images.usage(owner) == Usage()


async def test_a_released_reservation_is_not_released_again(tables: Tables, owner: str):
    quota = Quota(bytes=2 * SIZE)
    upload, other = await tables.announce(owner, quota=quota), await tables.announce(owner, quota=quota)
    for _ in range(3):
        await tables.uploads.release_upload(upload)
    assert await tables.images.usage(owner) == Usage(0, 0, reserved_bytes=SIZE, open_uploads=1)
    await tables.complete(upload, quota=quota)
    assert await tables.images.usage(owner) == Usage(1, SIZE, reserved_bytes=SIZE, open_uploads=1)
    for _ in range(2):
        await tables.uploads.remove_upload(other)
        await tables.uploads.remove_upload(upload)
    assert await tables.images.usage(owner) == Usage(1, SIZE)
    assert await tables.uploads.find_upload(owner, other.id) is None


async def test_a_released_upload_counts_like_any_other(tables: Tables, owner: str):
    quota = Quota(bytes=SIZE)
    upload = await tables.announce(owner, quota=quota)
    await tables.uploads.release_upload(upload)
    await tables.images.add(make_image(owner, size=1), quota=quota)
    with pytest.raises(QuotaExceeded):
        await tables.complete(upload, quota=quota)
    assert await tables.images.usage(owner) == Usage(1, 1)


async def test_an_owner_has_a_limited_number_of_open_uploads(tables: Tables, owner: str):
    uploads = await asyncio.gather(*(tables.announce(owner, size=1) for _ in range(MAX_OPEN_UPLOADS)))
    with pytest.raises(TooManyOpenUploads):
        await tables.announce(owner)
    await tables.uploads.release_upload(uploads[0])
    await tables.announce(owner)
    with pytest.raises(TooManyOpenUploads):
        await tables.announce(owner)


async def test_only_open_uploads_expire(tables: Tables, owner: str):
    first, second = await tables.announce(owner), await tables.announce(owner)
    await tables.uploads.release_upload(first)
    assert not [u for u in await tables.uploads.expired_uploads(before=NOON, limit=1000) if u.owner_id == owner]
    expired = await tables.uploads.expired_uploads(before=NOON + HOUR, limit=1000)
    assert [upload for upload in expired if upload.owner_id == owner] == [second]
    await tables.expire()
    assert await tables.images.usage(owner) == Usage()


async def test_a_blocked_owner_cannot_announce(tables: Tables, owner: str):
    upload = await tables.announce(owner)
    await tables.owners.block_writes(owner, until=NOON)
    with pytest.raises(OwnerClosed):
        await tables.announce(owner)
    await tables.owners.delete_owner_data(owner, except_job_id="", deleted_at=NOON)
    await tables.uploads.release_upload(upload)
    assert await tables.images.usage(owner) == Usage()


@pytest.mark.usefixtures("quick_transactions")
async def test_fifty_racing_uploads_leave_no_reservation(tables: Tables, owner: str):
    """Announcements, completions, expiries and repeated completions run concurrently."""

    async def announce_and_complete(number: int) -> int:
        upload = await tables.announce(owner)
        if number % 5 == 0:
            await asyncio.gather(tables.uploads.release_upload(upload), tables.uploads.remove_upload(upload))
            return 0
        completions = tables.complete(upload), tables.complete(upload)
        if number % 2:
            await asyncio.gather(*completions)
        else:
            await asyncio.gather(*completions, tables.uploads.release_upload(upload), tables.expire())
        return 1

    made = sum(await asyncio.gather(*(announce_and_complete(number) for number in range(50))))
    await tables.expire()
    assert await tables.images.usage(owner) == Usage(made, made * SIZE)
