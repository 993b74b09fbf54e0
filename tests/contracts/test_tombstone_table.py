"""The contract of every TombstoneTable together with its ImageTable: see app.ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.errors import ImageMissing
from app.domain.ids import new_id
from app.domain.images import Quota, Tombstone, Usage
from app.ports.tables import ImageTable, TombstoneTable
from app.tables.dynamodb import DynamoDBImageTable, DynamoDBTombstoneTable
from app.tables.sqlite import SqliteImageTable, SqliteTombstoneTable, open_sqlite
from tests.contracts.tables import NOON, make_image, open_table

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Tables:
    images: ImageTable
    tombstones: TombstoneTable


@pytest.fixture(params=["sqlite", "dynamodb"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield Tables(SqliteImageTable(database), SqliteTombstoneTable(database))
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield Tables(DynamoDBImageTable(table), DynamoDBTombstoneTable(table))


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


async def open_of(tables: Tables, owner: str, *, before: timedelta = DAY) -> list[Tombstone]:
    found = await tables.tombstones.open_tombstones(deleted_before=NOON + before, limit=1000)
    return [tombstone for tombstone in found if tombstone.owner_id == owner]


async def test_removing_with_a_time_leaves_an_open_tombstone(tables: Tables, owner: str) -> None:
    image, kept = make_image(owner), make_image(owner)
    for each in (image, kept):
        await tables.images.add(each, quota=Quota())
    assert await tables.images.remove(owner, image.id, deleted_at=NOON) == image
    tombstone = Tombstone(owner, image.id, NOON)
    assert await tables.tombstones.find_tombstone(owner, image.id) == tombstone
    assert await tables.tombstones.find_tombstone(owner, kept.id) is None
    assert await tables.tombstones.find_tombstone(f"{owner}x", image.id) is None
    assert await open_of(tables, owner) == [tombstone]
    assert await open_of(tables, owner, before=timedelta()) == []


async def test_removing_without_a_time_leaves_none(tables: Tables, owner: str) -> None:
    image = make_image(owner)
    await tables.images.add(image, quota=Quota())
    await tables.images.remove(owner, image.id)
    assert await tables.tombstones.find_tombstone(owner, image.id) is None
    await tables.images.add(image, quota=Quota())


async def test_an_image_with_a_tombstone_cannot_be_added(tables: Tables, owner: str) -> None:
    image = make_image(owner)
    await tables.images.add(image, quota=Quota())
    await tables.images.remove(owner, image.id, deleted_at=NOON)
    with pytest.raises(ImageMissing):
        await tables.images.add(image, quota=Quota())
    await tables.tombstones.close_tombstone(Tombstone(owner, image.id, NOON), now=NOON)
    with pytest.raises(ImageMissing):
        await tables.images.add(image, quota=Quota())
    assert await tables.images.usage(owner) == Usage()


async def test_a_closed_tombstone_stays_and_is_no_longer_open(tables: Tables, owner: str) -> None:
    image = make_image(owner)
    await tables.images.add(image, quota=Quota())
    await tables.images.remove(owner, image.id, deleted_at=NOON)
    tombstone = Tombstone(owner, image.id, NOON)
    for _ in range(2):
        await tables.tombstones.close_tombstone(tombstone, now=NOON)
    assert await open_of(tables, owner) == []
    assert await tables.tombstones.find_tombstone(owner, image.id) == tombstone
    await tables.tombstones.close_tombstone(Tombstone(owner, new_id(), NOON), now=NOON)


async def test_open_tombstones_come_oldest_first_and_at_most_as_many_as_asked_for(tables: Tables, owner: str) -> None:
    long_ago = NOON - timedelta(days=10_000)
    expected = [Tombstone(owner, new_id(), long_ago + timedelta(seconds=second)) for second in range(4)]
    for tombstone in reversed(expected):
        assert await tables.tombstones.add_tombstone(tombstone)
    found = await tables.tombstones.open_tombstones(deleted_before=long_ago + timedelta(seconds=3), limit=2)
    assert list(found) == expected[:2]
    for tombstone in expected:
        await tables.tombstones.remove_tombstone(tombstone)


async def test_a_tombstone_is_added_unless_there_is_a_record(tables: Tables, owner: str) -> None:
    image, gone = make_image(owner), make_image(owner)
    await tables.images.add(image, quota=Quota())
    assert not await tables.tombstones.add_tombstone(Tombstone(owner, image.id, NOON))
    assert await tables.tombstones.find_tombstone(owner, image.id) is None
    assert await tables.tombstones.add_tombstone(Tombstone(owner, gone.id, NOON))
    assert await tables.tombstones.add_tombstone(Tombstone(owner, gone.id, NOON + DAY))
    assert await tables.tombstones.find_tombstone(owner, gone.id) == Tombstone(owner, gone.id, NOON)
    with pytest.raises(ImageMissing):
        await tables.images.add(gone, quota=Quota())
    for _ in range(2):
        await tables.tombstones.remove_tombstone(Tombstone(owner, gone.id, NOON))
    await tables.images.add(gone, quota=Quota())


async def test_of_a_record_and_a_tombstone_at_once_one_is_added(tables: Tables, owner: str) -> None:
    for _ in range(5):
        image = make_image(owner)
        added, is_deleted = await asyncio.gather(
            tables.images.add(image, quota=Quota()),
            tables.tombstones.add_tombstone(Tombstone(owner, image.id, NOON)),
            return_exceptions=True,
        )
        assert isinstance(added, ImageMissing) is bool(is_deleted)


async def test_sqlite_forgets_tombstones_that_were_closed_long_ago(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "service.db") as database:
        tombstones = SqliteTombstoneTable(database)
        old, new = (Tombstone("ada", new_id(), NOON) for _ in range(2))
        for tombstone in (old, new):
            await tombstones.add_tombstone(tombstone)
        await tombstones.close_tombstone(old, now=NOON)
        await tombstones.close_tombstone(new, now=NOON + 89 * DAY)
        assert await tombstones.find_tombstone("ada", old.image_id) == old
        await tombstones.close_tombstone(new, now=NOON + 90 * DAY)
        assert await tombstones.find_tombstone("ada", old.image_id) is None
        assert await tombstones.find_tombstone("ada", new.image_id) == new
