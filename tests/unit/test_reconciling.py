from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.adapters.disk import DiskObjectStore, open_disk
from app.adapters.sqlite import SqliteImageTable, open_sqlite
from app.core.ids import made_at, new_id
from app.core.models import Image, Quota, Thumbnail, ThumbnailStatus
from app.usecases.reconciling import Findings, Reconciler

LATER = timedelta(hours=1)


@dataclasses.dataclass
class Storage:
    store: DiskObjectStore
    images: SqliteImageTable

    async def reconcile(self, *, settled_before: datetime | None = None) -> Findings:
        reconciler = Reconciler(store=self.store, images=self.images)
        return await reconciler.run(settled_before=settled_before or datetime.now(UTC) + LATER)

    async def keys(self) -> list[str]:
        return [stored.key async for stored in self.store.walk("")]

    async def add(self, owner_id: str = "ada") -> Image:
        image = make_image(owner_id)
        await self.put(image)
        await self.images.add(image, quota=Quota())
        return image

    async def put(self, image: Image) -> None:
        for key in image.object_keys:
            await self.store.put(key, b"bytes", content_type="image/jpeg")


def make_image(owner_id: str = "ada") -> Image:
    image_id = new_id()
    thumbnails = tuple(Thumbnail(size, ThumbnailStatus.READY, "image/jpeg", size, size, 5) for size in (200, 500, 800))
    return Image(
        image_id, owner_id, "a.jpg", None, "image/jpeg", 5, "0" * 64, 900, 900, made_at(image_id), "hash", thumbnails
    )


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with (
        open_disk(tmp_path / "objects", url_key=b"k" * 32, ttl_seconds=60, window_seconds=60) as store,
        open_sqlite(tmp_path / "db") as database,
    ):
        yield Storage(store, SqliteImageTable(database))


async def test_what_is_in_step_stays_as_it_is(storage: Storage):
    for owner in ("ada", "bob", "ada", "cyd", "bob"):
        await storage.add(owner)
    before = await storage.keys()
    findings = await storage.reconcile()
    assert findings == Findings(images=5, objects=20)
    assert await storage.keys() == before


async def test_objects_without_a_record_are_deleted(storage: Storage):
    kept = [await storage.add(owner) for owner in ("ada", "bob")]
    for owner in ("aaa", "ada", "bob", "zoe"):
        await storage.put(make_image(owner))
    kept += [await storage.add(owner) for owner in ("ada", "cyd")]
    findings = await storage.reconcile()
    assert (findings.orphans_deleted, findings.images, findings.records_removed) == (16, 4, 0)
    assert sorted(await storage.keys()) == sorted(key for image in kept for key in image.object_keys)
    assert await storage.reconcile() == Findings(images=4, objects=16)


async def test_an_upload_that_may_be_under_way_is_left_alone(storage: Storage):
    image = make_image()
    await storage.put(image)
    findings = await storage.reconcile(settled_before=made_at(image.id))
    assert (findings.unsettled, findings.orphans_deleted) == (4, 0)
    assert len(await storage.keys()) == 4
    assert (await storage.reconcile(settled_before=made_at(image.id) + timedelta(milliseconds=1))).orphans_deleted == 4


async def test_a_record_without_its_original_is_removed_with_what_is_left(storage: Storage):
    kept, lost, alone = await storage.add(), await storage.add(), await storage.add("zoe")
    await storage.store.delete([lost.original_key])
    await storage.store.delete(alone.object_keys)
    findings = await storage.reconcile()
    assert (findings.records_removed, findings.images) == (2, 3)
    assert sorted(await storage.keys()) == sorted(kept.object_keys)
    assert (await storage.images.usage("ada")).images == 1
    assert (await storage.images.usage("zoe")).images == 0


async def test_a_thumbnail_that_is_gone_is_marked_failed(storage: Storage):
    image = await storage.add()
    await storage.store.delete([image.object_keys[2]])
    assert (await storage.reconcile()).thumbnails_failed == 1
    statuses = [t.status for t in (await storage.images.get("ada", image.id)).thumbnails]
    assert statuses == [ThumbnailStatus.READY, ThumbnailStatus.FAILED, ThumbnailStatus.READY]
    assert (await storage.reconcile()).thumbnails_failed == 0


async def test_an_object_beyond_what_the_record_says_is_deleted(storage: Storage):
    image = await storage.add()
    await storage.store.put(image.original_key.replace("original", "4000"), b"x", content_type="image/jpeg")
    assert (await storage.reconcile()).orphans_deleted == 1
    assert sorted(await storage.keys()) == sorted(image.object_keys)


async def test_an_empty_store_is_taken_for_the_wrong_one(storage: Storage):
    images = [await storage.add() for _ in range(11)]
    await storage.store.delete([key for image in images for key in image.object_keys])
    findings = await storage.reconcile()
    assert (findings.records_kept, findings.records_removed) == (11, 0)
    assert (await storage.images.usage("ada")).images == 11


async def test_direct_uploads_that_nobody_completed_are_swept_after_a_day(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
):
    fresh = new_id()
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: int((datetime.now(UTC) - timedelta(hours=25)).timestamp()) * 10**9)
        old = new_id()
    for upload_id in (fresh, old):
        await storage.store.put(f"incoming/ada/{upload_id}", b"x", content_type="image/jpeg")
    assert (await storage.reconcile()).expired_deleted == 1
    assert await storage.keys() == [f"incoming/ada/{fresh}"]


async def test_what_is_not_an_images_object_is_not_touched(storage: Storage):
    strange = ["images/ada/notes.txt", "images/ada/not-an-id/original.jpg", "incoming/x", "images/a/b/c/d"]
    for key in strange:
        await storage.store.put(key, b"x", content_type="image/jpeg")
    assert await storage.reconcile() == Findings()
    assert sorted(await storage.keys()) == sorted(strange)
