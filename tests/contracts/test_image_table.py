"""The contract of every ImageTable: see app.ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import ImageMissing, QuotaExceeded
from app.domain.ids import new_id
from app.domain.images import FocalPoint, Quota, Usage
from app.ports.tables import ImageTable
from app.tables.dynamodb import DynamoDBImageTable
from app.tables.dynamodb.keys import ean_key
from app.tables.sqlite import SqliteImageTable, open_sqlite
from app.tables.sqlite import images as sqlite_images
from tests.aws_emulators import skip_where_transactions_are_slow
from tests.contracts.tables import FAILED, PENDING, READY, make_image, make_source, open_table

NO_QUOTA = Quota()
EAN = "4006381333931"


@pytest.fixture(params=["sqlite", "dynamodb"])
async def images(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ImageTable]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield SqliteImageTable(database)
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield DynamoDBImageTable(table)


@pytest.fixture
def quick_transactions(request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["images"] == "dynamodb":
        skip_where_transactions_are_slow(request.getfixturevalue("aws"))


@pytest.fixture
def empty_strings(request: pytest.FixtureRequest) -> None:
    """Skips where the emulator is older than empty strings in DynamoDB (May 2020)."""
    if request.node.callspec.params["images"] == "dynamodb" and request.getfixturevalue("aws").name == "localstack":
        pytest.skip("LocalStack may run on a DynamoDB Local of 2020, which refuses empty strings")


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


async def outcomes(calls: int, call: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """Run `calls` concurrent calls; return the result of each, or the type of its error."""
    results = await asyncio.gather(*(call(n) for n in range(calls)), return_exceptions=True)
    return [type(result) if isinstance(result, BaseException) else result for result in results]


async def test_check_passes_for_an_existing_table(images: ImageTable) -> None:
    await images.check()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"description": None},
        {"description": "🏖️ Zoë\u0301 \x00 \r\n 日本 'quoted' \"double\" ; DROP TABLE images --"},
        {"description": "ü" * 2000},
        {"filename": "👩‍👩‍👧 Ferien#1?.jpg"},
        {"thumbnails": ()},
        {"thumbnails": (READY, FAILED, PENDING)},
        {"size": 2**40 + 1, "width": 0, "height": 16384},
        {"placeholder": None},
        {"source": make_source(EAN)},
        {"source": replace(make_source(EAN), product_name=None, brand="Café 🌰")},
    ],
    ids=lambda changes: ",".join(changes) or "usual",
)
async def test_get_returns_the_added_record_unchanged(images: ImageTable, owner: str, changes: dict[str, Any]) -> None:
    image = make_image(owner, **changes)
    await images.add(image, quota=NO_QUOTA)
    found = await images.get(owner, image.id)
    assert found == image
    assert isinstance(found.thumbnails, tuple)
    assert all(type(number) is int for number in (found.size, found.width, found.height))


@pytest.mark.parametrize("image_id", ["0199aaaa-0000-7000-8000-000000000000", "", "%", "USAGE", "../x", "é"])
async def test_get_of_an_unknown_id_raises(images: ImageTable, owner: str, image_id: str) -> None:
    await images.add(make_image(owner), quota=NO_QUOTA)
    with pytest.raises(ImageMissing):
        await images.get(owner, image_id)


async def test_another_owners_image_is_missing_for_every_method(images: ImageTable, owner: str) -> None:
    image = make_image(owner)
    await images.add(image, quota=NO_QUOTA)
    stranger = f"{owner}x"
    with pytest.raises(ImageMissing):
        await images.get(stranger, image.id)
    with pytest.raises(ImageMissing):
        await images.edit(stranger, image.id, changes={"filename": "mine.jpg", "description": None})
    with pytest.raises(ImageMissing):
        await images.remove(stranger, image.id)
    with pytest.raises(ImageMissing):
        await images.update_thumbnails(replace(image, owner_id=stranger, thumbnails=()))
    assert await images.page(stranger, before=None, limit=10) == []
    assert [each async for each in images.walk(stranger)] == []
    assert await images.usage(stranger) == Usage()
    assert await images.get(owner, image.id) == image


async def test_pages_hold_every_image_once_newest_first(
    images: ImageTable, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_images, "_WALK_ROWS", 10)
    added = [make_image(owner, filename=f"{n}.jpg") for n in range(25)]
    for image in added:
        await images.add(image, quota=NO_QUOTA)
    await images.add(make_image(f"{owner}x"), quota=NO_QUOTA)

    pages, before = [], None
    for _ in range(4):
        page = await images.page(owner, before=before, limit=10)
        pages.append(page)
        before = page[-1].id if page else before

    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [image for page in pages for image in page] == added[::-1]
    assert [image async for image in images.walk(owner)] == added
    assert [image async for image in images.walk(owner, after=added[9].id)] == added[10:]
    assert [image async for image in images.walk(owner, after=added[10].id[:-1])] == added[10:]


async def test_page_continues_after_a_removed_image(images: ImageTable, owner: str) -> None:
    added = [make_image(owner) for _ in range(4)]
    for image in added:
        await images.add(image, quota=NO_QUOTA)
    await images.remove(owner, added[2].id)
    assert await images.page(owner, before=added[2].id, limit=10) == [added[1], added[0]]


async def test_page_is_full_although_the_records_are_large(images: ImageTable, owner: str) -> None:
    for _ in range(70):
        await images.add(make_image(owner, description="x" * 30_000), quota=NO_QUOTA)
    assert len(await images.page(owner, before=None, limit=60)) == 60


async def test_page_of_an_owner_without_images_is_empty(images: ImageTable, owner: str) -> None:
    assert await images.page(owner, before=None, limit=10) == []


@pytest.mark.parametrize("description", ["Now with words", None])
async def test_edit_sets_both_fields_and_returns_the_record(
    images: ImageTable, owner: str, description: str | None
) -> None:
    image = make_image(owner, thumbnails=(READY, PENDING))
    await images.add(image, quota=NO_QUOTA)
    edited = await images.edit(owner, image.id, changes={"filename": "neu 🏖.jpg", "description": description})
    assert edited == replace(image, filename="neu 🏖.jpg", description=description)
    assert await images.get(owner, image.id) == edited


@pytest.mark.usefixtures("empty_strings")
async def test_empty_text_is_not_none(images: ImageTable, owner: str) -> None:
    added, edited = make_image(owner, description="", custom_metadata={"empty": ""}), make_image(owner)
    await images.add(added, quota=NO_QUOTA)
    await images.add(edited, quota=NO_QUOTA)
    assert (await images.get(owner, added.id)) == added
    assert (await images.edit(owner, edited.id, changes={"filename": "x.jpg", "description": ""})).description == ""


async def test_edit_of_a_missing_image_raises_and_creates_none(images: ImageTable, owner: str) -> None:
    image = make_image(owner)
    with pytest.raises(ImageMissing):
        await images.edit(owner, image.id, changes={"filename": "x.jpg", "description": None})
    with pytest.raises(ImageMissing):
        await images.get(owner, image.id)


async def test_replace_overwrites_only_the_results_of_rendering(images: ImageTable, owner: str) -> None:
    image = make_image(owner, thumbnails=(PENDING,), placeholder=None, width=0, height=0, source=make_source(EAN))
    await images.add(image, quota=NO_QUOTA)
    edited = await images.edit(owner, image.id, changes={"filename": "edited.jpg", "description": "Edited"})
    rendered: dict[str, Any] = {
        "thumbnails": (READY, FAILED),
        "placeholder": "3OcRJYB4d3h",
        "width": 4032,
        "height": 3024,
    }
    await images.update_thumbnails(replace(image, sha256="other", size=7, **rendered))
    assert await images.get(owner, image.id) == replace(edited, **rendered)
    await images.update_thumbnails(replace(image, **{**rendered, "placeholder": None}))
    assert (await images.get(owner, image.id)).placeholder is None


async def test_replace_of_a_missing_image_raises_and_creates_none(images: ImageTable, owner: str) -> None:
    image = make_image(owner)
    with pytest.raises(ImageMissing):
        await images.update_thumbnails(image)
    assert await images.page(owner, before=None, limit=10) == []


async def test_the_newest_image_of_a_product_is_found_until_it_is_removed(images: ImageTable, owner: str) -> None:
    source = make_source(EAN)
    added = [make_image(owner, source=source) for _ in range(3)]
    others = (
        make_image(owner),
        make_image(owner, source=make_source("40063813")),
        make_image(owner, source=make_source(f"{EAN}0")),
        make_image(f"{owner}x", source=source),
    )
    for image in (*reversed(added), *others):
        await images.add(image, quota=NO_QUOTA)
    assert await images.get_newest_of_product(owner, EAN) == added[2]
    for left in (1, 0):
        await images.remove(owner, added[left + 1].id)
        assert await images.get_newest_of_product(owner, EAN) == added[left]
    await images.remove(owner, added[0].id)
    with pytest.raises(ImageMissing):
        await images.get_newest_of_product(owner, EAN)
    assert await images.get_newest_of_product(owner, "40063813") == others[1]
    assert [image async for image in images.walk(owner)] == list(others[:3])


async def test_discarded_records_are_gone_and_the_usage_is_unchanged(images: ImageTable, owner: str) -> None:
    added = [make_image(owner, source=make_source(EAN) if n % 2 else None) for n in range(60)]
    for image in added:
        await images.add(image, quota=NO_QUOTA)
    await images.discard(added[:55])
    await images.discard([*added[:2], make_image(owner)])
    await images.discard([])
    assert [image async for image in images.walk(owner)] == added[55:]
    assert (await images.usage(owner)).images == 60
    if isinstance(images, DynamoDBImageTable):
        assert await images._table.find(ean_key(owner, EAN, added[1].id)) is None
    # No tombstone is left.
    await images.add(added[0], quota=NO_QUOTA)


async def test_removed_product_image_leaves_no_index_entry(images: ImageTable, owner: str) -> None:
    image = make_image(owner, source=make_source(EAN))
    await images.add(image, quota=NO_QUOTA)
    await images.remove(owner, image.id)
    if isinstance(images, DynamoDBImageTable):
        assert await images._table.find(ean_key(owner, EAN, image.id)) is None
    with pytest.raises(ImageMissing):
        await images.get_newest_of_product(owner, EAN)


@pytest.mark.parametrize("ean", ["", "4", EAN[:-1]])
async def test_a_product_without_image_is_missing(images: ImageTable, owner: str, ean: str) -> None:
    await images.add(make_image(owner, source=make_source(EAN)), quota=NO_QUOTA)
    with pytest.raises(ImageMissing):
        await images.get_newest_of_product(owner, ean)


async def test_a_product_image_over_the_quota_is_not_found(images: ImageTable, owner: str) -> None:
    with pytest.raises(QuotaExceeded):
        await images.add(make_image(owner, source=make_source(EAN)), quota=Quota(bytes=1))
    with pytest.raises(ImageMissing):
        await images.get_newest_of_product(owner, EAN)


async def test_usage_follows_additions_and_removals(images: ImageTable, owner: str) -> None:
    assert await images.usage(owner) == Usage(0, 0)
    first, second = make_image(owner, size=700), make_image(owner, size=2**40)
    await images.add(first, quota=NO_QUOTA)
    await images.add(second, quota=NO_QUOTA)
    assert await images.usage(owner) == Usage(2, 700 + 2**40)
    await images.edit(owner, first.id, changes={"filename": "x.jpg", "description": None})
    await images.update_thumbnails(second)
    assert await images.usage(owner) == Usage(2, 700 + 2**40)
    await images.remove(owner, first.id)
    assert await images.usage(owner) == Usage(1, 2**40)
    await images.remove(owner, second.id)
    assert await images.usage(owner) == Usage(0, 0)


async def test_adding_a_record_twice_changes_nothing(images: ImageTable, owner: str) -> None:
    image = make_image(owner)
    await images.add(image, quota=NO_QUOTA)
    edited = await images.edit(owner, image.id, changes={"filename": "edited.jpg", "description": None})
    await images.add(image, quota=NO_QUOTA)
    assert await images.get(owner, image.id) == edited
    assert await images.usage(owner) == Usage(1, image.size)


@pytest.mark.parametrize("quota", [Quota(images=1), Quota(bytes=1000), Quota(bytes=1), Quota(images=1, bytes=1)])
async def test_adding_a_record_twice_ignores_the_quota(images: ImageTable, owner: str, quota: Quota) -> None:
    image = make_image(owner, size=1000)
    await images.add(image, quota=NO_QUOTA)
    await images.add(image, quota=quota)
    assert await images.usage(owner) == Usage(1, 1000)


async def test_remove_returns_the_image_only_once(images: ImageTable, owner: str) -> None:
    image = make_image(owner, thumbnails=(READY, FAILED, PENDING))
    await images.add(image, quota=NO_QUOTA)
    assert await images.remove(owner, image.id) == image
    with pytest.raises(ImageMissing):
        await images.get(owner, image.id)
    with pytest.raises(ImageMissing):
        await images.remove(owner, image.id)
    assert await images.usage(owner) == Usage(0, 0)


async def test_removed_image_can_be_added_again(images: ImageTable, owner: str) -> None:
    image = make_image(owner)
    await images.add(image, quota=Quota(images=1))
    await images.remove(owner, image.id)
    await images.add(image, quota=Quota(images=1))
    assert await images.usage(owner) == Usage(1, image.size)


async def test_byte_quota_is_exact(images: ImageTable, owner: str) -> None:
    quota = Quota(bytes=1000)
    await images.add(make_image(owner, size=400), quota=quota)
    with pytest.raises(QuotaExceeded):
        await images.add(make_image(owner, size=601), quota=quota)
    await images.add(make_image(owner, size=600), quota=quota)
    with pytest.raises(QuotaExceeded):
        await images.add(make_image(owner, size=1), quota=quota)
    assert await images.usage(owner) == Usage(2, 1000)


async def test_image_larger_than_the_quota_of_a_new_owner_is_rejected(images: ImageTable, owner: str) -> None:
    refused = make_image(owner, size=1001)
    with pytest.raises(QuotaExceeded):
        await images.add(refused, quota=Quota(images=5, bytes=1000))
    assert await images.usage(owner) == Usage(0, 0)
    assert await images.page(owner, before=None, limit=10) == []
    await images.add(make_image(owner, size=1000), quota=Quota(images=5, bytes=1000))


async def test_image_quota_is_exact_and_released_by_removals(images: ImageTable, owner: str) -> None:
    quota = Quota(images=2, bytes=10_000)
    first = make_image(owner)
    await images.add(first, quota=quota)
    await images.add(make_image(owner), quota=quota)
    with pytest.raises(QuotaExceeded):
        await images.add(make_image(owner), quota=quota)
    await images.remove(owner, first.id)
    await images.add(make_image(owner), quota=quota)
    assert await images.usage(owner) == Usage(2, 2000)


@pytest.mark.usefixtures("quick_transactions")
async def test_hundred_concurrent_additions_do_not_exceed_the_quota(images: ImageTable, owner: str) -> None:
    results = await outcomes(100, lambda _: images.add(make_image(owner, size=7), quota=Quota(images=10)))
    assert results.count(None) == 10
    assert results.count(QuotaExceeded) == 90
    assert await images.usage(owner) == Usage(10, 70)
    assert len(await images.page(owner, before=None, limit=100)) == 10


async def test_concurrent_additions_of_the_same_image_count_once(images: ImageTable, owner: str) -> None:
    image = make_image(owner)
    assert await outcomes(20, lambda _: images.add(image, quota=Quota(images=1))) == [None] * 20
    assert await images.usage(owner) == Usage(1, image.size)


async def test_one_of_twenty_concurrent_removals_succeeds(images: ImageTable, owner: str) -> None:
    kept, image = make_image(owner), make_image(owner)
    await images.add(kept, quota=NO_QUOTA)
    await images.add(image, quota=NO_QUOTA)
    results = await outcomes(20, lambda _: images.remove(owner, image.id))
    assert results.count(image) == 1
    assert results.count(ImageMissing) == 19
    assert await images.usage(owner) == Usage(1, kept.size)


@pytest.mark.usefixtures("quick_transactions")
async def test_usage_is_correct_after_concurrent_additions_and_removals(images: ImageTable, owner: str) -> None:
    old = [make_image(owner) for _ in range(20)]
    for image in old:
        await images.add(image, quota=NO_QUOTA)

    async def one(n: int) -> None:
        if n % 2:
            await images.remove(owner, old[n // 2].id)
        else:
            await images.add(make_image(owner, size=3), quota=NO_QUOTA)

    assert await outcomes(40, one) == [None] * 40
    assert await images.usage(owner) == Usage(20, 60)


@pytest.mark.worker_only
async def test_owners_are_those_with_an_image(images: ImageTable, owner: str) -> None:
    former, never = f"{owner}-former", f"{owner}-never"
    for image in (make_image(owner), make_image(owner), make_image(f"{owner}-other")):
        await images.add(image, quota=NO_QUOTA)
    gone = make_image(former)
    await images.add(gone, quota=NO_QUOTA)
    await images.remove(former, gone.id)
    with pytest.raises(QuotaExceeded):
        await images.add(make_image(never, size=2), quota=Quota(bytes=1))

    found = [each async for each in images.owners() if each.startswith(owner)]

    assert sorted(found) == [owner, f"{owner}-other"]


async def test_the_focal_point_is_edited_and_removed(images: ImageTable, owner: str) -> None:
    image = make_image(owner)
    await images.add(image, quota=NO_QUOTA)
    edited = await images.edit(owner, image.id, changes={"focal_point": {"x": 0, "y": 100}})
    assert edited == replace(image, focal_point=FocalPoint(0, 100))
    assert await images.get(owner, image.id) == edited
    assert await images.edit(owner, image.id, changes={"focal_point": None}) == image
