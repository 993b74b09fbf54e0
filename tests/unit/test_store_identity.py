"""Tests of the check that records and objects belong together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.consistency.store_identity import StoreMismatch, check_store_matches_table
from app.domain.images import Quota
from app.storage.disk.store import DiskObjectStore, open_disk
from app.tables.sqlite import SqliteImageTable, SqliteStoreIdTable, open_sqlite
from tests.contracts.tables import make_image


@asynccontextmanager
async def open_both(
    objects: Path, database: Path
) -> AsyncIterator[tuple[DiskObjectStore, SqliteStoreIdTable, SqliteImageTable]]:
    async with (
        open_disk(objects, url_key=b"k" * 32, ttl_seconds=60, window_seconds=60) as store,
        open_sqlite(database) as opened,
    ):
        yield store, SqliteStoreIdTable(opened), SqliteImageTable(opened)


async def check(objects: Path, database: Path) -> None:
    async with open_both(objects, database) as (store, table, images):
        await check_store_matches_table(store, table, images)


async def test_a_new_store_and_a_new_table_match_from_then_on(tmp_path: Path):
    for _ in range(3):
        await check(tmp_path / "objects", tmp_path / "db")


@pytest.mark.parametrize("objects, database", [("objects", "other-db"), ("other-objects", "db"), ("not-mounted", "db")])
async def test_a_store_that_the_table_does_not_refer_to_is_refused(tmp_path: Path, objects: str, database: str):
    await check(tmp_path / "objects", tmp_path / "db")
    await check(tmp_path / "other-objects", tmp_path / "other-db")
    with pytest.raises(StoreMismatch, match="pairing/"):
        await check(tmp_path / objects, tmp_path / database)


async def test_a_store_with_images_and_a_new_table_do_not_match(tmp_path: Path):
    async with open_both(tmp_path / "objects", tmp_path / "db") as (store, _, _):
        await store.put("images/ada/x/original.jpg", b"x", content_type="image/jpeg")
    with pytest.raises(StoreMismatch, match="the table was never used"):
        await check(tmp_path / "objects", tmp_path / "new-db")


@pytest.mark.parametrize("unrecorded", [0, 1])
async def test_images_that_were_uploaded_after_an_emulator_lost_its_data_match_if_all_have_records(
    tmp_path: Path, unrecorded: int
):
    async with open_both(tmp_path / "objects", tmp_path / "db") as (store, _, images):
        for _ in range(2):
            image = make_image("ada")
            await images.add(image, quota=Quota())
            for key in image.object_keys:
                await store.put(key, b"x", content_type="image/jpeg")
        for number in range(unrecorded):
            await store.put(f"images/zoe/{number}/original.jpg", b"x", content_type="image/jpeg")
    if unrecorded:
        with pytest.raises(StoreMismatch, match="no records"):
            await check(tmp_path / "objects", tmp_path / "db")
    else:
        await check(tmp_path / "objects", tmp_path / "db")
        async with open_both(tmp_path / "objects", tmp_path / "db") as (_, table, _):
            assert await table.store_id()


async def test_a_first_start_that_was_interrupted_can_be_repeated(tmp_path: Path):
    """The store's marker is written before the table's id. A crash in between leaves a marker that no table knows."""
    async with open_both(tmp_path / "objects", tmp_path / "db") as (store, _, _):
        await store.put("pairing/interrupted", b"x", content_type="text/plain")
    await check(tmp_path / "objects", tmp_path / "db")
