"""Tests of the sidecars that repeat the fields of records in the object store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from app.common.sidecars import MAX_BYTES, Sidecar, read_sidecar, rewrite_sidecar, write_sidecar
from app.domain.ids import id_timestamp, new_id
from app.domain.images import FocalPoint, Image, Quota, Source
from app.storage.disk.store import DiskObjectStore, open_disk
from app.tables.sqlite import SqliteImageTable, open_sqlite


def make_image() -> Image:
    image_id = new_id()
    return Image(
        id=image_id,
        owner_id="ada",
        filename="a.jpg",
        description="At the sea",
        content_type="image/jpeg",
        size=5,
        sha256="0" * 64,
        width=900,
        height=900,
        uploaded_at=id_timestamp(image_id),
        placeholder=None,
        thumbnails=(),
    )


@dataclass
class Storage:
    store: DiskObjectStore
    images: SqliteImageTable

    async def sidecar(self, image: Image) -> Sidecar:
        with TemporaryFile() as file:
            await self.store.fetch(image.sidecar_key, file, max_bytes=MAX_BYTES)
            file.seek(0)
            return read_sidecar(file.read())


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with (
        open_disk(tmp_path / "objects", url_key=b"k" * 32, ttl_seconds=60, window_seconds=60) as store,
        open_sqlite(tmp_path / "db") as database,
    ):
        yield Storage(store, SqliteImageTable(database))


async def test_a_sidecar_is_read_as_it_was_written(storage: Storage):
    source = Source(
        ean="3017620422003",
        url="https://example.com/product/3017620422003",
        product_name="Hazelnut spread",
        brand=None,
        licence="CC BY-SA 3.0",
        attribution="Open Food Facts contributors",
    )
    image = replace(make_image(), source=source, custom_metadata={"album": "Sommer 🌞"})
    await write_sidecar(storage.store, image)
    assert await storage.sidecar(image) == Sidecar(
        "a.jpg", "At the sea", source, custom_metadata={"album": "Sommer 🌞"}
    )
    await write_sidecar(storage.store, replace(image, source=None, description=None, custom_metadata={}))
    assert await storage.sidecar(image) == Sidecar("a.jpg", None, None)


def test_sidecar_of_an_earlier_version_has_no_custom_metadata():
    data = b'{"filename": "a.jpg", "description": null, "source": null}'
    assert read_sidecar(data) == Sidecar("a.jpg", None, None)


async def test_a_sidecar_has_the_digest_of_an_upload_that_lost_metadata(storage: Storage):
    image = replace(make_image(), uploaded_sha256="1" * 64)
    await write_sidecar(storage.store, image)
    assert (await storage.sidecar(image)).uploaded_sha256 == "1" * 64


async def test_the_largest_sidecar_can_be_read(storage: Storage):
    pairs = {f"{n:02}" + "🌞" * 62: "🌞" * 512 for n in range(20)}
    image = replace(make_image(), filename="🌞" * 255, description="🌞" * 2000, custom_metadata=pairs)
    await write_sidecar(storage.store, image)
    assert (await storage.sidecar(image)).custom_metadata == pairs


@pytest.mark.parametrize(
    "data", [b"", b"no JSON", b"[]", b"{}", b'{"filename": "a", "description": null, "source": {"x": 1}}', b"\xff"]
)
def test_data_that_is_not_a_sidecar_is_rejected(data: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 - the JSON decoder has many messages
        read_sidecar(data)


async def test_concurrent_edits_leave_a_sidecar_that_agrees_with_the_record(storage: Storage):
    image = make_image()
    await storage.images.add(image, quota=Quota())

    async def edit(changes: dict[str, str | None]) -> None:
        edited = await storage.images.edit("ada", image.id, changes=changes)
        await rewrite_sidecar(storage.store, storage.images, edited)

    await asyncio.gather(*(edit({"filename": f"{n}.jpg"}) for n in range(8)), edit({"description": "In the hills"}))
    record = await storage.images.get("ada", image.id)
    assert await storage.sidecar(image) == Sidecar(record.filename, record.description, record.source)


async def test_the_sidecar_of_an_image_that_was_deleted_is_deleted(storage: Storage):
    image = make_image()
    await rewrite_sidecar(storage.store, storage.images, image)
    assert await storage.store.size(image.sidecar_key) is None


async def test_a_sidecar_contains_the_focal_point(storage: Storage):
    image = replace(make_image(), focal_point=FocalPoint(20, 80))
    await write_sidecar(storage.store, image)
    assert (await storage.sidecar(image)).focal_point == FocalPoint(20, 80)
