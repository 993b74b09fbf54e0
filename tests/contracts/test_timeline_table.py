"""The contract of every TimelineTable: see app.ports.timeline_table."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from app.domain.ids import new_id
from app.domain.images import Image, Quota
from app.domain.timeline import MonthCount, Period, Position
from app.ports.tables import ImageTable, OwnerTable
from app.ports.timeline_table import TimelineTable
from app.tables.dynamodb import DynamoDBImageTable, DynamoDBOwnerTable, DynamoDBTimelineTable
from app.tables.sqlite import SqliteImageTable, SqliteOwnerTable, SqliteTimelineTable, open_sqlite
from tests.contracts.tables import METADATA, NOON, make_image, open_table

ALWAYS = Period()


@dataclass
class Tables:
    images: ImageTable
    timeline: TimelineTable
    owners: OwnerTable

    async def add(self, *images: Image) -> None:
        for image in images:
            await self.images.add(image, quota=Quota())

    async def listed(self, owner: str, *, period: Period = ALWAYS, limit: int = 100) -> list[Image]:
        """Return the images of all pages."""
        images, before = list[Image](), None
        for _page in itertools.count():
            page = await self.timeline.page_by_time(owner, period=period, before=before, limit=limit)
            assert len(page.images) <= limit
            images += page.images
            before = page.last
            if before is None:
                return images
        raise AssertionError


@pytest.fixture(params=["sqlite", "dynamodb"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            owners = SqliteOwnerTable(database, clock=lambda: NOON)
            yield Tables(SqliteImageTable(database), SqliteTimelineTable(database), owners)
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield Tables(DynamoDBImageTable(table), DynamoDBTimelineTable(table), DynamoDBOwnerTable(table))


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


def taken(owner: str, time: str | None, **changes: object) -> Image:
    return make_image(owner, metadata=replace(METADATA, taken_at=time), **changes)


def newest_first(images: Sequence[Image]) -> list[Image]:
    return sorted(images, key=lambda image: (image.sorting_time, image.id), reverse=True)


async def test_pages_are_in_the_order_of_the_camera_and_hold_every_image_once(tables: Tables, owner: str) -> None:
    times = [
        "2024-05-01T00:00:00.000",
        "2019-12-31T23:59:59.999",
        "2024-05-01T00:00:00.000",
        None,
        "2031-01-01T00:00:00.000",
    ]
    added = [taken(owner, time) for time in times] + [make_image(owner, metadata=None)]
    await tables.add(*added, taken(f"{owner}x", times[0]))
    expected = newest_first(added)
    assert [image.sorting_time for image in expected[1:3]] == ["2026-11-20T12:00:00.123"] * 2
    for limit in (1, 2, 3, 5, 6, 100):
        assert await tables.listed(owner, limit=limit) == expected


async def test_a_period_includes_its_start_and_excludes_its_end(tables: Tables, owner: str) -> None:
    times = ["2024-05-01T00:00:00.000", "2024-05-01T00:00:00.001", "2024-05-31T23:59:59.999", "2024-06-01T00:00:00.000"]
    added = [taken(owner, time) for time in times]
    await tables.add(*added)
    start, end = times[0], times[-1]
    assert await tables.listed(owner, period=Period(start=start, end=end)) == added[2::-1]
    assert await tables.listed(owner, period=Period(start=start, end=end), limit=1) == added[2::-1]
    assert await tables.listed(owner, period=Period(start=times[1])) == added[:0:-1]
    assert await tables.listed(owner, period=Period(end=times[1])) == added[:1]
    assert await tables.listed(owner, period=Period(start="2025-01-01T00:00:00.000")) == []


async def test_a_page_continues_after_an_image_that_was_removed(tables: Tables, owner: str) -> None:
    added = [taken(owner, f"2024-05-{day:02}T00:00:00.000") for day in range(1, 7)]
    await tables.add(*added)
    page = await tables.timeline.page_by_time(owner, period=ALWAYS, before=None, limit=2)
    assert page.last == Position(added[4].sorting_time, added[4].id)
    await tables.images.remove(owner, added[4].id)
    await tables.images.remove(owner, added[3].id)
    late = taken(owner, "2024-05-30T00:00:00.000")
    await tables.add(late)
    page = await tables.timeline.page_by_time(owner, period=ALWAYS, before=page.last, limit=2)
    assert (list(page.images), page.last) == ([added[2], added[1]], Position(added[1].sorting_time, added[1].id))


async def test_months_follow_additions_and_removals(tables: Tables, owner: str) -> None:
    assert await tables.timeline.months(owner) == []
    may, june = taken(owner, "2024-05-31T23:59:59.999"), taken(owner, "2024-06-01T00:00:00.000")
    other_may, upload = taken(owner, "2024-05-01T00:00:00.000"), make_image(owner, metadata=None)
    await tables.add(may, june, other_may, upload, upload, taken(f"{owner}x", may.sorting_time))
    expected = [MonthCount("2026-11", 1), MonthCount("2024-06", 1), MonthCount("2024-05", 2)]
    assert await tables.timeline.months(owner) == expected
    await tables.images.edit(owner, may.id, changes={"filename": "x.jpg"})
    await tables.images.update_thumbnails(replace(june, thumbnails=()))
    assert await tables.timeline.months(owner) == expected
    await tables.images.remove(owner, june.id)
    await tables.images.remove(owner, may.id, deleted_at=NOON)
    assert await tables.timeline.months(owner) == [MonthCount("2026-11", 1), MonthCount("2024-05", 1)]
    assert await tables.listed(owner) == [upload, other_may]


async def test_an_image_that_is_added_again_counts_once(tables: Tables, owner: str) -> None:
    image = taken(owner, "2024-05-31T23:59:59.999")
    await tables.add(image)
    await tables.images.remove(owner, image.id)
    await tables.add(image)
    assert await tables.timeline.months(owner) == [MonthCount("2024-05", 1)]
    assert await tables.listed(owner) == [image]


async def test_nothing_of_a_deleted_owner_remains(tables: Tables, owner: str) -> None:
    added = [taken(owner, f"2024-{month:02}-01T00:00:00.000") for month in range(1, 13)]
    await tables.add(*added)
    await tables.images.discard(added[:6])
    await tables.images.discard(added)
    await tables.owners.delete_owner_data(owner, except_job_id=new_id(), deleted_at=NOON)
    assert await tables.listed(owner) == []
    assert await tables.timeline.months(owner) == []


async def test_an_image_that_outlives_the_data_of_its_owner_is_removed_without_a_count(
    tables: Tables, owner: str
) -> None:
    image = taken(owner, "2024-05-31T23:59:59.999")
    await tables.add(image)
    await tables.owners.delete_owner_data(owner, except_job_id=new_id(), deleted_at=datetime.now(NOON.tzinfo))
    assert await tables.images.remove(owner, image.id) == image
    assert await tables.timeline.months(owner) == []
