"""The timeline in DynamoDB beside an earlier version of the service, which knows neither its entries nor its counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from app.domain.errors import DependencyUnavailable, ImageMissing
from app.domain.ids import new_id
from app.domain.images import Image, Quota, Usage
from app.domain.timeline import MonthCount, Period, Position, month_of
from app.tables.dynamodb import DynamoDBImageTable, DynamoDBTable, DynamoDBTimelineTable, keys
from app.tables.dynamodb import table as table_module
from app.tables.dynamodb.timeline import entry_key
from tests.aws_emulators import AwsEmulator
from tests.contracts.tables import METADATA, make_image, open_table

MAY = "2024-05-01T00:00:00.000"


@pytest.fixture
async def table(aws: AwsEmulator) -> AsyncIterator[DynamoDBTable]:
    async with open_table(aws) as opened:
        yield opened


@pytest.fixture
def images(table: DynamoDBTable) -> DynamoDBImageTable:
    return DynamoDBImageTable(table)


@pytest.fixture
def timeline(table: DynamoDBTable) -> DynamoDBTimelineTable:
    return DynamoDBTimelineTable(table)


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


def taken(owner: str, time: str = MAY) -> Image:
    return make_image(owner, metadata=replace(METADATA, taken_at=time))


async def add_as_before(images: DynamoDBImageTable, *added: Image) -> None:
    """Add images as an earlier version did."""
    for image in added:
        await images.add(image, quota=Quota())
        month = keys.month_key(image.owner_id, month_of(image.sorting_time))
        await images._table.delete(entry_key(image))
        await images._table.update(month, UpdateExpression="ADD #images :one", values={"one": -1})


async def remove_as_before(images: DynamoDBImageTable, image: Image) -> None:
    """Remove the record as an earlier version did."""
    await images._table.delete(keys.image_key(image.owner_id, image.id))


async def listed(timeline: DynamoDBTimelineTable, owner: str) -> list[Image]:
    page = await timeline.page_by_time(owner, period=Period(), before=None, limit=100)
    assert page.last is None
    return [*page.images]


async def test_images_of_an_earlier_version_join_once(
    images: DynamoDBImageTable, timeline: DynamoDBTimelineTable, owner: str
) -> None:
    old, new = [taken(owner) for _ in range(70)], taken(owner)
    await add_as_before(images, *old)
    await images.add(new, quota=Quota())
    assert await listed(timeline, owner) == [new]
    assert await timeline.months(owner) == [MonthCount("2024-05", 1)]
    added = await asyncio.gather(*(timeline.add_missing([*old, new]) for _ in range(2)))
    assert sum(added) == 70
    assert await timeline.add_missing([*old, new]) == 0
    assert await timeline.months(owner) == [MonthCount("2024-05", 71)]
    assert await listed(timeline, owner) == [new, *old[::-1]]


async def test_a_hundred_images_of_different_months_join(
    images: DynamoDBImageTable, timeline: DynamoDBTimelineTable, owner: str
) -> None:
    old = [taken(owner, f"{1950 + n}-01-01T00:00:00.000") for n in range(100)]
    await asyncio.gather(*(add_as_before(images, image) for image in old))
    assert await timeline.add_missing(old) == 100
    assert [month.images for month in await timeline.months(owner)] == [1] * 100


async def test_an_image_that_was_removed_does_not_join(
    images: DynamoDBImageTable, timeline: DynamoDBTimelineTable, owner: str
) -> None:
    removed, kept = taken(owner), taken(owner)
    await add_as_before(images, removed, kept)
    await images.remove(owner, removed.id)
    assert await timeline.add_missing([removed, kept]) == 1
    assert await timeline.months(owner) == [MonthCount("2024-05", 1)]
    assert await listed(timeline, owner) == [kept]


async def test_an_image_without_an_entry_is_removed_and_not_counted(
    images: DynamoDBImageTable, timeline: DynamoDBTimelineTable, owner: str
) -> None:
    old, new = taken(owner), taken(owner)
    await add_as_before(images, old)
    await images.add(new, quota=Quota())
    assert await images.remove(owner, old.id) == old
    assert await images.usage(owner) == Usage(1, new.size)
    assert await timeline.months(owner) == [MonthCount("2024-05", 1)]


async def test_an_image_that_joins_while_it_is_removed_is_not_counted(
    images: DynamoDBImageTable, timeline: DynamoDBTimelineTable, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = taken(owner)
    await add_as_before(images, image)
    transact, calls = images._table.transact, list[int]()

    async def join_before_the_second(*actions: Any) -> None:
        calls.append(len(actions))
        if len(calls) == 2:
            monkeypatch.setattr(images._table, "transact", transact)
            assert await timeline.add_missing([image]) == 1
        await transact(*actions)

    monkeypatch.setattr(images._table, "transact", join_before_the_second)
    assert await images.remove(owner, image.id) == image
    assert len(calls) == 2
    assert await timeline.months(owner) == []
    assert await images._table.find(entry_key(image)) is None


@pytest.mark.worker_only
async def test_a_record_that_an_earlier_version_removed_is_skipped_until_its_entry_is_removed(
    images: DynamoDBImageTable, timeline: DynamoDBTimelineTable, owner: str
) -> None:
    added = [taken(owner, f"2024-05-{day:02}T00:00:00.000") for day in range(1, 5)]
    for image in added:
        await images.add(image, quota=Quota())
    for image in added[2:]:
        await remove_as_before(images, image)
    page = await timeline.page_by_time(owner, period=Period(), before=None, limit=3)
    assert (list(page.images), page.last) == ([added[1]], Position(added[1].sorting_time, added[1].id))
    page = await timeline.page_by_time(owner, period=Period(), before=page.last, limit=3)
    assert (list(page.images), page.last) == ([added[0]], None)
    assert await timeline.months(owner) == [MonthCount("2024-05", 4)]
    assert await timeline.remove_stale() >= 2
    assert await timeline.months(owner) == [MonthCount("2024-05", 2)]
    assert await listed(timeline, owner) == added[1::-1]
    # The owner has no image left.
    for image in added[:2]:
        await remove_as_before(images, image)
    await timeline.remove_stale()
    assert await timeline.months(owner) == []
    assert await images._table.find(keys.month_key(owner, "2024-05")) is None


async def test_a_record_that_an_earlier_version_removed_is_counted_once_if_it_is_added_again(
    images: DynamoDBImageTable, timeline: DynamoDBTimelineTable, owner: str
) -> None:
    image = taken(owner)
    await images.add(image, quota=Quota())
    await remove_as_before(images, image)
    await images.add(image, quota=Quota())
    assert await timeline.months(owner) == [MonthCount("2024-05", 1)]
    await images.remove(owner, image.id)
    assert await timeline.months(owner) == []
    with pytest.raises(ImageMissing):
        await images.get(owner, image.id)


@pytest.mark.worker_only
async def test_a_record_that_is_added_again_with_another_time_is_listed_once(
    images: DynamoDBImageTable, timeline: DynamoDBTimelineTable, owner: str
) -> None:
    image = make_image(owner, metadata=None)
    again = replace(image, metadata=replace(METADATA, taken_at=MAY))
    await images.add(image, quota=Quota())
    await remove_as_before(images, image)
    await images.add(again, quota=Quota())
    assert await listed(timeline, owner) == [again]
    await timeline.remove_stale()
    assert await timeline.months(owner) == [MonthCount("2024-05", 1)]
    assert await listed(timeline, owner) == [again]


async def test_keys_that_a_throttled_table_did_not_process_are_requested_again(
    images: DynamoDBImageTable, timeline: DynamoDBTimelineTable, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = [taken(owner) for _ in range(4)]
    for image in added:
        await images.add(image, quota=Quota())
    client: Any = images._table._client
    get, sizes = client.batch_get_item, list[int]()

    async def process_one_of_them(*, RequestItems: dict[str, Any]) -> Any:  # noqa: N803 - the name in the API
        ((name, request),) = RequestItems.items()
        assert request["ConsistentRead"]
        sizes.append(len(request["Keys"]))
        response = await get(RequestItems={name: {**request, "Keys": request["Keys"][:1]}})
        left = {**request, "Keys": request["Keys"][1:]}
        return {**response, "UnprocessedKeys": {name: left} if left["Keys"] else {}}

    monkeypatch.setattr(client, "batch_get_item", process_one_of_them)
    monkeypatch.setattr(table_module, "_BATCH_PAUSES", (0, 0, 0, 0))
    assert await listed(timeline, owner) == added[::-1]
    assert sizes == [4, 3, 2, 1]
    monkeypatch.setattr(table_module, "_BATCH_PAUSES", (0, 0, 0))
    with pytest.raises(DependencyUnavailable):
        await listed(timeline, owner)
