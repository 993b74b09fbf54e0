"""Tests of reconcile runs: what they record, what they repair after the grace period, and what they withhold."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from app.common.sidecars import MAX_BYTES, Sidecar, read_sidecar, write_sidecar
from app.consistency.report import ReconcileReport
from app.domain.errors import DependencyUnavailable
from app.domain.ids import id_timestamp, new_id
from app.domain.images import Image, Quota, Thumbnail, ThumbnailStatus, Tombstone
from app.observability.metrics import PrometheusMetrics
from app.storage.disk.store import DiskObjectStore, open_disk
from app.tables.sqlite import (
    SqliteImageTable,
    SqliteOwnerIndex,
    SqliteOwnerTable,
    SqliteReconcileTable,
    SqliteTombstoneTable,
    open_sqlite,
)
from tests.failing import Failing
from tests.reconcile_helpers import GRACE, make_reconciler, system_clock

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
"""More than any of these tests takes, even on a slow machine."""
EXPIRED = GRACE + HOUR


@dataclasses.dataclass
class Storage:
    store: DiskObjectStore
    images: SqliteImageTable
    owners: SqliteOwnerTable
    tombstones: SqliteTombstoneTable
    table: SqliteReconcileTable
    owner_index: SqliteOwnerIndex
    metrics: PrometheusMetrics

    async def reconcile(self, *, after: timedelta = timedelta(), confirm: bool = False) -> ReconcileReport:
        """Run while the store's clock is `after` later than the real time."""
        reconciler = make_reconciler(
            store=self.store,
            images=self.images,
            owners=self.owners,
            tombstones=self.tombstones,
            table=self.table,
            owner_index=self.owner_index,
            after=after,
            metrics=self.metrics,
        )
        return await reconciler.run(confirm=confirm)

    async def keys(self) -> list[str]:
        return [stored.key async for stored in self.store.walk("") if not stored.key.startswith("reconcile/")]

    async def add(self, owner_id: str = "ada") -> Image:
        """Store the objects and the record of a new image."""
        image = await self.put(make_image(owner_id))
        await self.images.add(image, quota=Quota())
        await self.owner_index.add_owner(owner_id)
        return image

    async def put(self, image: Image) -> Image:
        """Store the objects of the image, without a record."""
        for key in image.object_keys:
            await self.store.put(key, b"bytes", content_type="image/jpeg")
        await write_sidecar(self.store, image)
        return image

    async def put_extra_object(self, image: Image) -> None:
        """Store an object in the image's folder that its record does not refer to."""
        await self.store.put(image.original_key.replace("original", "4000"), b"x", content_type="image/jpeg")

    async def sidecar(self, image: Image) -> Sidecar:
        with TemporaryFile() as file:
            await self.store.fetch(image.sidecar_key, file, max_bytes=MAX_BYTES)
            file.seek(0)
            return read_sidecar(file.read())

    def exposition(self) -> bytes:
        return self.metrics.exposition(queue_depth=None, queue_age_seconds=None)


def make_image(owner_id: str = "ada") -> Image:
    image_id = new_id()
    return Image(
        id=image_id,
        owner_id=owner_id,
        filename="a.jpg",
        description=None,
        content_type="image/jpeg",
        size=5,
        sha256="0" * 64,
        width=900,
        height=900,
        uploaded_at=id_timestamp(image_id),
        placeholder="hash",
        thumbnails=tuple(
            Thumbnail(size, ThumbnailStatus.READY, "image/jpeg", size, size, 5) for size in (200, 500, 800)
        ),
    )


def keys_of(*images: Image) -> list[str]:
    return sorted(key for image in images for key in image.object_keys)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with open_storage(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def open_storage(folder: Path, *, database: str = "db") -> AsyncIterator[Storage]:
    """Open the storage in `folder`. An existing database file is used as it is."""
    async with (
        open_disk(folder / "objects", url_key=b"k" * 32, ttl_seconds=60, window_seconds=60) as store,
        open_sqlite(folder / database) as tables,
    ):
        yield Storage(
            store,
            SqliteImageTable(tables),
            SqliteOwnerTable(tables, clock=system_clock),
            SqliteTombstoneTable(tables),
            SqliteReconcileTable(tables),
            SqliteOwnerIndex(tables),
            PrometheusMetrics(),
        )


def copy_database(folder: Path) -> None:
    """Copy the database file and its WAL, which together hold all committed data."""
    for suffix in ("", "-wal"):
        shutil.copy(folder / f"db{suffix}", folder / f"copy{suffix}")


async def test_consistent_records_and_objects_are_not_changed(storage: Storage):
    for owner in ("ada", "bob", "ada", "cyd", "bob"):
        await storage.add(owner)
    before = await storage.keys()
    for after in (timedelta(), EXPIRED, 2 * EXPIRED):
        assert await storage.reconcile(after=after) == ReconcileReport(images=5, objects=25)
    assert await storage.keys() == before


# Objects without a record


async def test_objects_without_a_record_are_deleted_after_the_grace_period(storage: Storage):
    images = [await storage.add(owner) for owner in ("ada", "bob")]
    for owner in ("aaa", "ada", "bob", "zoe"):
        await storage.put(make_image(owner))
    images += [await storage.add(owner) for owner in ("ada", "cyd")]
    all_keys = await storage.keys()
    for after in (timedelta(), DAY, GRACE - HOUR):
        report = await storage.reconcile(after=after)
        assert (report.unreferenced, report.unreferenced_deleted, report.images) == (20, 0, 4)
        assert await storage.keys() == all_keys
    report = await storage.reconcile(after=EXPIRED)
    assert (report.unreferenced, report.unreferenced_deleted, report.records_removed) == (0, 20, 0)
    assert sorted(await storage.keys()) == keys_of(*images)
    assert await storage.reconcile(after=EXPIRED + DAY) == ReconcileReport(images=4, objects=20)


async def test_grace_period_starts_with_the_first_run_and_not_with_the_age_of_the_objects(storage: Storage):
    await storage.put(make_image())
    report = await storage.reconcile(after=timedelta(days=365))
    assert (report.unreferenced, report.unreferenced_deleted) == (5, 0)


async def test_an_object_that_is_stored_later_has_its_own_grace_period(storage: Storage):
    image = await storage.put(make_image())
    await storage.reconcile()
    await storage.put_extra_object(image)
    await storage.reconcile(after=6 * DAY)
    # The objects of an image without a record are deleted together, after the last of their grace periods.
    report = await storage.reconcile(after=EXPIRED)
    assert (report.unreferenced, report.unreferenced_deleted) == (6, 0)
    assert (await storage.reconcile(after=6 * DAY + EXPIRED)).unreferenced_deleted == 6


async def test_objects_whose_record_is_added_within_the_grace_period_are_kept(storage: Storage):
    image = await storage.put(make_image())
    assert (await storage.reconcile()).unreferenced == 5
    await storage.images.add(image, quota=Quota())
    assert await storage.reconcile(after=EXPIRED) == ReconcileReport(images=1, objects=5)
    # If the record is lost later, a new grace period starts.
    await storage.images.remove(image.owner_id, image.id)
    report = await storage.reconcile(after=EXPIRED + DAY)
    assert (report.unreferenced, report.unreferenced_deleted) == (5, 0)


async def test_deleted_objects_that_are_stored_again_have_a_new_grace_period(storage: Storage):
    image = await storage.put(make_image())
    await storage.reconcile()
    await storage.reconcile(after=EXPIRED)
    await storage.put(image)
    report = await storage.reconcile(after=EXPIRED + DAY)
    assert (report.unreferenced, report.unreferenced_deleted) == (5, 0)
    # No tombstone is left that would prevent the record from being added.
    await storage.images.add(image, quota=Quota())


@pytest.mark.parametrize("skew", [timedelta(minutes=10), -timedelta(minutes=10), timedelta(days=3650)])
async def test_the_clock_that_generated_the_image_id_does_not_matter(
    storage: Storage, skew: timedelta, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.domain.ids.time.time_ns", lambda: int((datetime.now(UTC) + skew).timestamp() * 1e9))
    image = await storage.put(make_image())
    assert (await storage.reconcile()).unreferenced == 5
    assert (await storage.reconcile(after=GRACE - HOUR)).unreferenced == 5
    await storage.images.add(image, quota=Quota())


async def test_unreferenced_thumbnails_are_deleted_however_many_there_are(storage: Storage):
    images = [await storage.add() for _ in range(20)]
    for image in images:
        await storage.put_extra_object(image)
    assert (await storage.reconcile()).unreferenced == 20
    assert (await storage.reconcile(after=EXPIRED)).unreferenced_deleted == 20
    assert sorted(await storage.keys()) == keys_of(*images)


async def test_record_that_is_added_during_the_comparison_is_found(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    await storage.add()

    async def walk_before_the_record_was_added(owner_id: str, *, after: str = "") -> AsyncIterator[Image]:
        for image in list[Image]():
            yield image

    monkeypatch.setattr(storage.images, "walk", walk_before_the_record_was_added)
    monkeypatch.setattr(storage.table, "note_unreferenced", lambda *_, **__: pytest.fail("The record was not found."))
    await storage.reconcile()


async def test_objects_are_kept_if_their_record_is_added_just_before_the_tombstone(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
):
    image = await storage.put(make_image())
    await storage.reconcile()
    add_tombstone = storage.tombstones.add_tombstone

    async def add_record_first(tombstone: Tombstone) -> bool:
        await storage.images.add(image, quota=Quota())
        return await add_tombstone(tombstone)

    monkeypatch.setattr(storage.tombstones, "add_tombstone", add_record_first)
    assert (await storage.reconcile(after=EXPIRED)).unreferenced_deleted == 0
    assert sorted(await storage.keys()) == keys_of(image)


# Withheld deletions


async def test_deletion_of_more_originals_than_usual_needs_confirmation(storage: Storage):
    for _ in range(3):
        await storage.add()
    for _ in range(11):
        await storage.put(make_image())
    await storage.reconcile()
    for day in range(8, 30, 7):
        report = await storage.reconcile(after=day * DAY)
        assert (report.deletions_withheld, report.unreferenced_deleted) == (11, 0)
    assert b"reconcile_deletions_withheld 11.0" in storage.exposition()
    report = await storage.reconcile(after=30 * DAY, confirm=True)
    assert (report.deletions_withheld, report.unreferenced_deleted) == (0, 55)
    assert b"reconcile_deletions_withheld 0.0" in storage.exposition()


async def test_deleted_originals_are_counted_over_a_week(storage: Storage):
    """Without this, ten originals per day could be deleted until the store is empty, and nobody would notice."""
    for day in range(3):
        for _ in range(6):
            await storage.put(make_image())
        await storage.reconcile(after=day * DAY)
    assert (await storage.reconcile(after=7 * DAY + HOUR)).unreferenced_deleted == 30
    assert (await storage.reconcile(after=8 * DAY + HOUR)).deletions_withheld == 6
    assert (await storage.reconcile(after=9 * DAY + HOUR)).deletions_withheld == 12
    # The first six no longer count, but the other twelve are still more than ten.
    assert (await storage.reconcile(after=15 * DAY)).deletions_withheld == 12


async def test_originals_up_to_one_percent_of_the_images_are_deleted(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.consistency.settlement._BRAKE_FLOOR", 0)
    for _ in range(199):
        await storage.add()
    for _ in range(2):
        await storage.put(make_image())
    await storage.reconcile()
    assert (await storage.reconcile(after=EXPIRED)).unreferenced_deleted == 10
    for _ in range(2):
        await storage.put(make_image())
    await storage.reconcile(after=2 * EXPIRED)
    await storage.put(make_image())
    await storage.reconcile(after=2 * EXPIRED)
    assert (await storage.reconcile(after=3 * EXPIRED)).deletions_withheld == 3


# Restored tables, crashes and concurrency


async def test_a_restored_table_causes_no_deletion_within_thirty_days(tmp_path: Path):
    async with open_storage(tmp_path) as storage:
        images = [await storage.add() for _ in range(5)]
        await storage.reconcile()
        copy_database(tmp_path)
        images += [await storage.add() for _ in range(25)]
        await storage.reconcile()
    async with open_storage(tmp_path, database="copy") as restored:
        for day in range(1, 31):
            report = await restored.reconcile(after=day * DAY)
            assert report.unreferenced_deleted == report.records_removed == 0
        assert report.deletions_withheld == 25
        assert sorted(await restored.keys()) == keys_of(*images)


async def test_grace_periods_in_a_restored_table_start_again(tmp_path: Path):
    async with open_storage(tmp_path) as storage:
        image = await storage.put(make_image())
        await storage.reconcile()
        copy_database(tmp_path)
        # The record is added after the copy was made, so the objects are still unreferenced according to the copy.
        await storage.images.add(image, quota=Quota())
        await storage.reconcile(after=GRACE - DAY)
    async with open_storage(tmp_path, database="copy") as restored:
        report = await restored.reconcile(after=EXPIRED)
        assert (report.unreferenced, report.unreferenced_deleted) == (5, 0)
        assert (await restored.reconcile(after=EXPIRED + GRACE - HOUR)).unreferenced_deleted == 0
        assert (await restored.reconcile(after=EXPIRED + EXPIRED)).unreferenced_deleted == 5


async def test_a_crash_at_the_start_of_a_run_does_not_restart_grace_periods(storage: Storage):
    await storage.put(make_image())
    await storage.reconcile()
    table: Any = Failing(storage.table, on="save_reconcile_state", times=1)
    with pytest.raises(DependencyUnavailable):
        await dataclasses.replace(storage, table=table).reconcile(after=DAY)
    assert (await storage.reconcile(after=EXPIRED)).unreferenced_deleted == 5


async def test_two_concurrent_runs_have_the_effect_of_one(storage: Storage):
    images = [await storage.add() for _ in range(3)]
    for _ in range(5):
        await storage.put(make_image())
    await asyncio.gather(storage.reconcile(), storage.reconcile())
    await asyncio.gather(storage.reconcile(after=EXPIRED), storage.reconcile(after=EXPIRED))
    assert sorted(await storage.keys()) == keys_of(*images)


# Records without objects


async def test_a_record_without_its_original_is_removed_after_the_grace_period(storage: Storage):
    intact, without_original, without_objects = await storage.add(), await storage.add(), await storage.add("zoe")
    await storage.store.delete([without_original.original_key])
    await storage.store.delete(without_objects.object_keys)
    report = await storage.reconcile()
    assert (report.records_lost, report.records_removed, report.images) == (2, 0, 3)
    report = await storage.reconcile(after=EXPIRED)
    assert (report.records_lost, report.records_removed, report.images) == (0, 2, 3)
    assert sorted(await storage.keys()) == keys_of(intact)
    assert (await storage.images.usage("ada")).images == 1
    assert (await storage.images.usage("zoe")).images == 0


async def test_a_record_whose_original_is_stored_again_is_kept(storage: Storage):
    image = await storage.add()
    await storage.store.delete([image.original_key])
    assert (await storage.reconcile()).records_lost == 1
    await storage.put(image)
    assert await storage.reconcile(after=EXPIRED) == ReconcileReport(images=1, objects=5)
    await storage.store.delete([image.original_key])
    assert (await storage.reconcile(after=EXPIRED + DAY)).records_lost == 1


async def test_removal_of_suspiciously_many_records_needs_confirmation(storage: Storage):
    images = [await storage.add() for _ in range(11)]
    await storage.store.delete(keys_of(*images))
    await storage.reconcile()
    report = await storage.reconcile(after=EXPIRED)
    assert (report.records_kept, report.records_removed) == (11, 0)
    assert (await storage.images.usage("ada")).images == 11
    report = await storage.reconcile(after=EXPIRED, confirm=True)
    assert (report.records_kept, report.records_removed) == (0, 11)


async def test_a_missing_thumbnail_is_marked_as_failed(storage: Storage):
    image = await storage.add()
    await storage.store.delete([image.thumbnail_key(image.thumbnails[1])])
    assert (await storage.reconcile()).thumbnails_failed == 1
    statuses = [thumbnail.status for thumbnail in (await storage.images.get("ada", image.id)).thumbnails]
    assert statuses == [ThumbnailStatus.READY, ThumbnailStatus.FAILED, ThumbnailStatus.READY]
    assert (await storage.reconcile()).thumbnails_failed == 0


async def test_a_missing_sidecar_is_written(storage: Storage):
    """Images that are older than sidecars have none."""
    image = await storage.add()
    edited = await storage.images.edit("ada", image.id, changes={"description": "At the sea"})
    await storage.store.delete([image.sidecar_key])
    assert await storage.reconcile() == ReconcileReport(images=1, objects=4, sidecars_written=1)
    assert (await storage.sidecar(image)).description == edited.description
    assert await storage.reconcile() == ReconcileReport(images=1, objects=5)


# Objects that are deleted without a grace period


async def test_objects_of_an_image_that_its_owner_deleted_are_deleted_immediately(storage: Storage):
    deleted, other = await storage.add(), await storage.add()
    await storage.images.remove("ada", deleted.id, deleted_at=system_clock())
    assert (await storage.reconcile()).deleted_finished == 5
    assert sorted(await storage.keys()) == keys_of(other)
    assert await storage.tombstones.open_tombstones(deleted_before=system_clock() + DAY, limit=9) == []


async def test_only_objects_older_than_the_account_deletion_are_deleted_immediately(storage: Storage):
    image = await storage.put(make_image())
    await storage.owners.delete_owner_data("ada", except_job_id="", deleted_at=await storage.store.now() + HOUR)
    assert (await storage.reconcile()).deleted_finished == 5
    assert await storage.keys() == []
    await storage.owners.delete_owner_data("ada", except_job_id="", deleted_at=await storage.store.now() - HOUR)
    await storage.put(image)
    report = await storage.reconcile()
    assert (report.deleted_finished, report.unreferenced) == (0, 5)


@pytest.mark.parametrize(
    "key, retention",
    [("incoming/ada/{id}", DAY), ("exports/ada/{id}.zip", 7 * DAY)],
    ids=["incoming", "exports"],
)
async def test_objects_with_a_limited_lifetime_are_deleted_when_they_expire(
    storage: Storage, key: str, retention: timedelta
):
    await storage.store.put(key.format(id=new_id()), b"x", content_type="image/jpeg")
    assert (await storage.reconcile(after=retention - HOUR)).expired_deleted == 0
    assert (await storage.reconcile(after=retention + HOUR)).expired_deleted == 1
    assert await storage.keys() == []


async def test_objects_with_unknown_keys_are_not_touched(storage: Storage):
    unknown = ["images/ada/notes.txt", "images/ada/not-an-id/original.jpg", "incoming/x", "images/a/b/c/d"]
    for key in unknown:
        await storage.store.put(key, b"x", content_type="image/jpeg")
    for after in (timedelta(), EXPIRED):
        assert await storage.reconcile(after=after) == ReconcileReport()
    assert sorted(await storage.keys()) == sorted(unknown)


async def put_renditions(storage: Storage, image: Image) -> list[str]:
    keys = [f"images/{image.owner_id}/{image.id}/{name}" for name in ("preview", "rendition-320.avif")]
    for key in keys:
        await storage.store.put(key, b"bytes", content_type="image/avif")
    return keys


async def test_renditions_are_kept_as_long_as_their_image(storage: Storage):
    image = await storage.add()
    renditions = await put_renditions(storage, image)
    assert await storage.reconcile() == ReconcileReport(images=1, objects=7)
    assert await storage.reconcile(after=EXPIRED) == ReconcileReport(images=1, objects=7)
    await storage.store.delete(renditions)
    assert await storage.reconcile(after=EXPIRED + DAY) == ReconcileReport(images=1, objects=5)


async def test_renditions_of_an_image_without_a_record_are_deleted(storage: Storage):
    image = await storage.put(make_image())
    await put_renditions(storage, image)
    assert (await storage.reconcile()).unreferenced == 7
    assert (await storage.reconcile(after=EXPIRED)).unreferenced_deleted == 7
    assert await storage.keys() == []


async def test_a_rendition_that_is_stored_after_the_deletion_is_deleted(storage: Storage):
    image = await storage.add()
    await storage.images.remove(image.owner_id, image.id, deleted_at=await storage.store.now())
    await storage.store.delete(image.object_keys)
    await put_renditions(storage, image)
    assert (await storage.reconcile()).deleted_finished == 2
    assert await storage.keys() == []
