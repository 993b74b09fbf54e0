from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.adapters.disk import DiskObjectStore, open_disk
from app.adapters.sqlite import SqliteImageTable, open_sqlite
from app.usecases.pairing import StoreMismatch, check_pairing


@asynccontextmanager
async def opened(objects: Path, database: Path) -> AsyncIterator[tuple[DiskObjectStore, SqliteImageTable]]:
    async with (
        open_disk(objects, url_key=b"k" * 32, ttl_seconds=60, window_seconds=60) as store,
        open_sqlite(database) as tables,
    ):
        yield store, SqliteImageTable(tables)


async def pair(objects: Path, database: Path) -> None:
    async with opened(objects, database) as (store, images):
        await check_pairing(store, images)


async def test_what_is_new_is_paired_and_stays_so(tmp_path: Path):
    for _ in range(3):
        await pair(tmp_path / "objects", tmp_path / "db")


async def test_the_wrong_store_or_table_is_refused(tmp_path: Path):
    await pair(tmp_path / "objects", tmp_path / "db")
    await pair(tmp_path / "other-objects", tmp_path / "other-db")
    for objects, database in (("objects", "other-db"), ("other-objects", "db"), ("not-mounted", "db")):
        with pytest.raises(StoreMismatch, match="pairing/"):
            await pair(tmp_path / objects, tmp_path / database)


async def test_images_without_any_table_that_knew_them_are_not_taken_for_leftovers(tmp_path: Path):
    async with opened(tmp_path / "objects", tmp_path / "db") as (store, _):
        await store.put("images/ada/x/original.jpg", b"x", content_type="image/jpeg")
    with pytest.raises(StoreMismatch, match="wrong table"):
        await pair(tmp_path / "objects", tmp_path / "new-db")


async def test_a_start_that_died_before_the_table_knew_its_mark_is_no_hindrance(tmp_path: Path):
    async with opened(tmp_path / "objects", tmp_path / "db") as (store, _):
        await store.put("pairing/left-over", b"x", content_type="text/plain")
    await pair(tmp_path / "objects", tmp_path / "db")
