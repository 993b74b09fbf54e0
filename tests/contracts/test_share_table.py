"""What every ShareTable does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.ids import new_id
from app.domain.shares import MAX_IMAGES, Share, ShareDownload
from app.ports.share_table import ShareTable
from app.tables.dynamodb import DynamoDBShareTable
from app.tables.sqlite import SqliteShareTable, open_sqlite
from tests.contracts.tables import NOON, open_table


@pytest.fixture(params=["sqlite", "dynamodb"])
async def table(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ShareTable]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield SqliteShareTable(database)
    else:
        async with open_table(request.getfixturevalue("aws")) as opened:
            yield DynamoDBShareTable(opened)


def make_share(owner_id: str, *, images: int = 2) -> Share:
    return Share(
        id=new_id(),
        owner_id=owner_id,
        image_ids=tuple(new_id() for _ in range(images)),
        title="Summer ☀",
        download=ShareDownload.NONE,
        created_at=NOON,
        expires_at=NOON + timedelta(days=7),
        password_hash="$argon2id$…",
    )


async def test_a_share_is_found_by_its_id(table: ShareTable):
    share = make_share(new_id(), images=MAX_IMAGES)
    plain = replace(make_share(new_id()), title=None, expires_at=None, password_hash=None)
    for each in (share, plain):
        await table.add_share(each)
        assert await table.find_share(each.id) == each
    assert await table.find_share(new_id()) is None


async def test_the_shares_of_an_owner_are_listed_newest_first(table: ShareTable):
    owner_id = new_id()
    shares = [make_share(owner_id) for _ in range(5)]
    for share in [*shares, make_share(new_id())]:
        await table.add_share(share)
    newest = shares[::-1]
    assert list(await table.page_shares(owner_id, before=None, limit=3)) == newest[:3]
    assert list(await table.page_shares(owner_id, before=newest[2].id, limit=3)) == newest[3:]
    assert list(await table.page_shares(owner_id, before=newest[4].id, limit=3)) == []


async def test_a_page_of_large_shares_is_complete(table: ShareTable):
    owner_id = new_id()
    shares = [make_share(owner_id, images=MAX_IMAGES) for _ in range(60)]
    for share in shares:
        await table.add_share(share)
    assert [share.id for share in await table.page_shares(owner_id, before=None, limit=60)] == [
        share.id for share in shares[::-1]
    ]


async def test_fields_are_edited(table: ShareTable):
    share = make_share(new_id())
    await table.add_share(share)
    changes = {"title": None, "expires_at": NOON + timedelta(days=30), "download": ShareDownload.RENDITION}
    edited = await table.edit_share(share.owner_id, share.id, changes=changes)
    assert edited == await table.find_share(share.id) == replace(share, **changes)  # type: ignore[arg-type]
    edited = await table.edit_share(share.owner_id, share.id, changes={"image_ids": (new_id(),), "expires_at": None})
    assert edited
    assert (len(edited.image_ids), edited.expires_at, edited.title) == (1, None, None)


async def test_a_share_of_another_owner_is_neither_edited_nor_removed(table: ShareTable):
    share, stranger = make_share(new_id()), new_id()
    await table.add_share(share)
    assert await table.edit_share(stranger, share.id, changes={"title": "Mine"}) is None
    assert not await table.remove_share(stranger, share.id)
    assert await table.find_share(share.id) == share


async def test_a_removed_share_is_gone(table: ShareTable):
    share = make_share(new_id())
    await table.add_share(share)
    assert await table.remove_share(share.owner_id, share.id)
    assert not await table.remove_share(share.owner_id, share.id)
    assert await table.find_share(share.id) is None
    assert await table.edit_share(share.owner_id, share.id, changes={"title": "Back"}) is None


async def test_all_shares_of_an_owner_are_removed(table: ShareTable):
    owner_id, other = new_id(), make_share(new_id())
    shares = [make_share(owner_id) for _ in range(3)]
    for share in [*shares, other]:
        await table.add_share(share)
    await table.remove_shares(owner_id)
    assert list(await table.page_shares(owner_id, before=None, limit=10)) == []
    assert [await table.find_share(share.id) for share in shares] == [None] * 3
    assert await table.find_share(other.id) == other
