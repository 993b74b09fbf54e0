"""What a reconcile run notes, what it settles after the grace period, and what makes it stop."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from app.adapters.disk import DiskObjectStore, open_disk
from app.adapters.prometheus import PrometheusMetrics
from app.adapters.sqlite import (
    SqliteImageTable,
    SqliteOwnerTable,
    SqliteReconcileTable,
    SqliteTombstoneTable,
    open_sqlite,
)
from app.core.ids import made_at, new_id
from app.core.models import Image, Quota, Thumbnail, ThumbnailStatus
from app.usecases.deletions import Deletions
from app.usecases.reconcile_findings import Findings, Ports
from app.usecases.reconciling import Reconciler
from app.usecases.sidecars import read_sidecar, rewrite_sidecar, write_sidecar
from tests.failing import Failing
from tests.reconciling import GRACE, ShiftedStore, system_clock

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
OVER = GRACE + MINUTE


@dataclasses.dataclass
class Storage:
    store: DiskObjectStore
    images: SqliteImageTable
    owners: SqliteOwnerTable
    tombstones: SqliteTombstoneTable
    table: SqliteReconcileTable
    metrics: PrometheusMetrics

    async def reconcile(self, *, after: timedelta = timedelta(), confirm: bool = False, store: Any = None) -> Findings:
        """Run when the store's clock is `after` later than it is."""
        shifted: Any = ShiftedStore(store or self.store, after)
        deletions = Deletions(store=shifted, tombstones=self.tombstones, clock=system_clock)
        ports = Ports(shifted, self.images, self.owners, self.tombstones, self.table, deletions)
        return await Reconciler(ports, metrics=self.metrics, grace=GRACE).run(confirm=confirm)

    async def keys(self) -> list[str]:
        return [s.key async for s in self.store.walk("") if not s.key.startswith("reconcile/")]

    async def add(self, owner_id: str = "ada") -> Image:
        image = make_image(owner_id)
        await self.put(image)
        await self.images.add(image, quota=Quota())
        return image

    async def put(self, image: Image) -> Image:
        for key in image.object_keys:
            await self.store.put(key, b"bytes", content_type="image/jpeg")
        await write_sidecar(self.store, image)
        return image

    async def sidecar(self, image: Image) -> bytes:
        with TemporaryFile() as file:
            await self.store.fetch(image.sidecar_key, file, max_bytes=100_000)
            return os.pread(file.fileno(), 100_000, 0)


def make_image(owner_id: str = "ada") -> Image:
    image_id = new_id()
    thumbnails = tuple(Thumbnail(size, ThumbnailStatus.READY, "image/jpeg", size, size, 5) for size in (200, 500, 800))
    return Image(
        image_id, owner_id, "a.jpg", None, "image/jpeg", 5, "0" * 64, 900, 900, made_at(image_id), "hash", thumbnails
    )


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with opened(tmp_path) as made:
        yield made


@asynccontextmanager
async def opened(folder: Path, *, database: str = "db") -> AsyncIterator[Storage]:
    """The storage in `folder`; a database that was copied there before is used as it is."""
    async with (
        open_disk(folder / "objects", url_key=b"k" * 32, ttl_seconds=60, window_seconds=60) as store,
        open_sqlite(folder / database) as tables,
    ):
        yield Storage(
            store,
            SqliteImageTable(tables),
            SqliteOwnerTable(tables),
            SqliteTombstoneTable(tables),
            SqliteReconcileTable(tables),
            PrometheusMetrics(),
        )


async def test_what_is_in_step_stays_as_it_is(storage: Storage):
    for owner in ("ada", "bob", "ada", "cyd", "bob"):
        await storage.add(owner)
    before = await storage.keys()
    for after in (timedelta(), OVER, 2 * OVER):
        assert await storage.reconcile(after=after) == Findings(images=5, objects=25)
    assert await storage.keys() == before


async def test_objects_without_a_record_are_deleted_once_they_were_seen_for_the_grace_period(storage: Storage):
    kept = [await storage.add(owner) for owner in ("ada", "bob")]
    for owner in ("aaa", "ada", "bob", "zoe"):
        await storage.put(make_image(owner))
    kept += [await storage.add(owner) for owner in ("ada", "cyd")]
    everything = await storage.keys()
    for after in (timedelta(), DAY, GRACE - MINUTE):
        findings = await storage.reconcile(after=after)
        assert (findings.unreferenced, findings.unreferenced_deleted, findings.images) == (20, 0, 4)
        assert await storage.keys() == everything
    findings = await storage.reconcile(after=OVER)
    assert (findings.unreferenced, findings.unreferenced_deleted, findings.records_removed) == (0, 20, 0)
    assert sorted(await storage.keys()) == sorted(key for image in kept for key in image.object_keys)
    assert await storage.reconcile(after=OVER + DAY) == Findings(images=4, objects=20)


async def test_the_grace_period_begins_with_the_first_run_however_old_the_objects_are(storage: Storage):
    await storage.put(make_image())
    findings = await storage.reconcile(after=timedelta(days=365))
    assert (findings.unreferenced, findings.unreferenced_deleted) == (5, 0)


async def test_an_object_that_joins_later_has_a_grace_period_of_its_own(storage: Storage):
    image = await storage.put(make_image())
    await storage.reconcile()
    late = image.original_key.replace("original", "4000")
    await storage.store.put(late, b"x", content_type="image/jpeg")
    await storage.reconcile(after=6 * DAY)
    # What has no record goes together, when the last of it may go.
    findings = await storage.reconcile(after=OVER)
    assert (findings.unreferenced, findings.unreferenced_deleted) == (6, 0)
    assert (await storage.reconcile(after=6 * DAY + OVER)).unreferenced_deleted == 6


async def test_an_upload_that_ends_meanwhile_is_no_longer_unreferenced(storage: Storage):
    image = await storage.put(make_image())
    assert (await storage.reconcile()).unreferenced == 5
    await storage.images.add(image, quota=Quota())
    assert await storage.reconcile(after=OVER) == Findings(images=1, objects=5)
    # Should the record be lost after all, nothing of the first period counts.
    await storage.images.remove(image.owner_id, image.id)
    findings = await storage.reconcile(after=OVER + DAY)
    assert (findings.unreferenced, findings.unreferenced_deleted) == (5, 0)


async def test_objects_that_were_deleted_and_come_back_begin_anew(storage: Storage):
    image = await storage.put(make_image())
    await storage.reconcile()
    await storage.reconcile(after=OVER)
    await storage.put(image)
    findings = await storage.reconcile(after=OVER + DAY)
    assert (findings.unreferenced, findings.unreferenced_deleted) == (5, 0)
    await storage.images.add(image, quota=Quota())


@pytest.mark.parametrize("skew", [timedelta(minutes=10), -timedelta(minutes=10), timedelta(days=3650)])
async def test_this_machines_clock_decides_nothing(storage: Storage, skew: timedelta, monkeypatch: pytest.MonkeyPatch):
    """Ids, too, were made by some machine's clock."""
    monkeypatch.setattr("app.core.ids.time.time_ns", lambda: int((datetime.now(UTC) + skew).timestamp() * 1e9))
    image = await storage.put(make_image())
    assert (await storage.reconcile()).unreferenced == 5
    assert (await storage.reconcile(after=GRACE - MINUTE)).unreferenced == 5
    await storage.images.add(image, quota=Quota())


async def test_more_originals_than_usual_are_withheld_until_it_is_confirmed(storage: Storage):
    for _ in range(3):
        await storage.add()
    for _ in range(11):
        await storage.put(make_image())
    await storage.reconcile()
    for day in range(8, 30, 7):
        findings = await storage.reconcile(after=day * DAY)
        assert (findings.deletions_withheld, findings.unreferenced_deleted) == (11, 0)
    assert b"reconcile_deletions_withheld 11.0" in storage.metrics.exposition(queue_depth=None, queue_age_seconds=None)
    findings = await storage.reconcile(after=30 * DAY, confirm=True)
    assert (findings.deletions_withheld, findings.unreferenced_deleted) == (0, 55)
    assert b"reconcile_deletions_withheld 0.0" in storage.metrics.exposition(queue_depth=None, queue_age_seconds=None)


async def test_a_few_a_day_are_counted_together_over_a_week(storage: Storage):
    """Ten a day would otherwise empty the store without anybody being asked."""
    for day in range(3):
        for _ in range(6):
            await storage.put(make_image())
        await storage.reconcile(after=day * DAY)
    assert (await storage.reconcile(after=7 * DAY + MINUTE)).unreferenced_deleted == 30
    assert (await storage.reconcile(after=8 * DAY + MINUTE)).deletions_withheld == 6
    assert (await storage.reconcile(after=9 * DAY + MINUTE)).deletions_withheld == 12
    # A week after the first six, twelve are still more than ten.
    assert (await storage.reconcile(after=15 * DAY)).deletions_withheld == 12


async def test_one_percent_of_many_is_usual(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.usecases.reconcile_settlement._BRAKE_FLOOR", 0)
    for _ in range(199):
        await storage.add()
    for _ in range(2):
        await storage.put(make_image())
    await storage.reconcile()
    assert (await storage.reconcile(after=OVER)).unreferenced_deleted == 10
    for _ in range(2):
        await storage.put(make_image())
    await storage.reconcile(after=2 * OVER)
    await storage.put(make_image())
    await storage.reconcile(after=2 * OVER)
    assert (await storage.reconcile(after=3 * OVER)).deletions_withheld == 3


async def test_thumbnails_beyond_what_the_record_says_go_whatever_their_number(storage: Storage):
    images = [await storage.add() for _ in range(20)]
    for image in images:
        await storage.store.put(image.original_key.replace("original", "4000"), b"x", content_type="image/jpeg")
    assert (await storage.reconcile()).unreferenced == 20
    assert (await storage.reconcile(after=OVER)).unreferenced_deleted == 20
    assert sorted(await storage.keys()) == sorted(key for image in images for key in image.object_keys)


async def test_a_restored_table_deletes_nothing_in_thirty_days(tmp_path: Path):
    async with opened(tmp_path) as storage:
        before = [await storage.add() for _ in range(5)]
        await storage.reconcile()
        storage_copy(tmp_path)
        after = [await storage.add() for _ in range(25)]
        await storage.reconcile()
    async with opened(tmp_path, database="copy") as restored:
        for day in range(1, 31):
            findings = await restored.reconcile(after=day * DAY)
            assert findings.unreferenced_deleted == findings.records_removed == 0
        assert findings.deletions_withheld == 25
        assert sorted(await restored.keys()) == sorted(key for i in before + after for key in i.object_keys)


async def test_a_restored_table_begins_the_grace_periods_that_it_knows_anew(tmp_path: Path):
    async with opened(tmp_path) as storage:
        image = await storage.put(make_image())
        await storage.reconcile()
        storage_copy(tmp_path)
        # Adopted since, and in the copy it is still unreferenced.
        await storage.images.add(image, quota=Quota())
        await storage.reconcile(after=GRACE - DAY)
    async with opened(tmp_path, database="copy") as restored:
        findings = await restored.reconcile(after=OVER)
        assert (findings.unreferenced, findings.unreferenced_deleted) == (5, 0)
        assert (await restored.reconcile(after=OVER + GRACE - MINUTE)).unreferenced_deleted == 0
        assert (await restored.reconcile(after=OVER + OVER)).unreferenced_deleted == 5


def storage_copy(folder: Path) -> None:
    """Copy the database as `sqlite3 .backup` does: what is in the WAL with it."""
    for suffix in ("", "-wal"):
        shutil.copy(folder / f"db{suffix}", folder / f"copy{suffix}")


async def test_a_crash_while_a_run_begins_breaks_no_grace_period(storage: Storage):
    await storage.put(make_image())
    await storage.reconcile()
    failing = Failing(storage.table, on="save_reconcile_state", times=1)
    real, storage.table = storage.table, failing  # type: ignore[assignment]
    with pytest.raises(Exception, match="test"):
        await storage.reconcile(after=DAY)
    storage.table = real
    assert (await storage.reconcile(after=OVER)).unreferenced_deleted == 5


async def test_two_runs_at_once_do_what_one_does(storage: Storage):
    kept = [await storage.add() for _ in range(3)]
    for _ in range(5):
        await storage.put(make_image())
    await asyncio.gather(storage.reconcile(), storage.reconcile())
    await asyncio.gather(storage.reconcile(after=OVER), storage.reconcile(after=OVER))
    assert sorted(await storage.keys()) == sorted(key for image in kept for key in image.object_keys)


async def test_a_record_without_its_original_is_removed_after_the_grace_period(storage: Storage):
    kept, lost, alone = await storage.add(), await storage.add(), await storage.add("zoe")
    await storage.store.delete([lost.original_key])
    await storage.store.delete(alone.object_keys)
    findings = await storage.reconcile()
    assert (findings.records_lost, findings.records_removed, findings.images) == (2, 0, 3)
    findings = await storage.reconcile(after=OVER)
    assert (findings.records_lost, findings.records_removed, findings.images) == (0, 2, 3)
    assert sorted(await storage.keys()) == sorted(kept.object_keys)
    assert (await storage.images.usage("ada")).images == 1
    assert (await storage.images.usage("zoe")).images == 0


async def test_a_record_whose_original_comes_back_stays(storage: Storage):
    image = await storage.add()
    await storage.store.delete([image.original_key])
    assert (await storage.reconcile()).records_lost == 1
    await storage.put(image)
    assert await storage.reconcile(after=OVER) == Findings(images=1, objects=5)
    await storage.store.delete([image.original_key])
    assert (await storage.reconcile(after=OVER + DAY)).records_lost == 1


async def test_so_many_lost_originals_that_it_is_the_wrong_store_are_kept_until_it_is_confirmed(storage: Storage):
    images = [await storage.add() for _ in range(11)]
    await storage.store.delete([key for image in images for key in image.object_keys])
    await storage.reconcile()
    findings = await storage.reconcile(after=OVER)
    assert (findings.records_kept, findings.records_removed) == (11, 0)
    assert (await storage.images.usage("ada")).images == 11
    findings = await storage.reconcile(after=OVER, confirm=True)
    assert (findings.records_kept, findings.records_removed) == (0, 11)


async def test_a_thumbnail_that_is_gone_is_marked_failed(storage: Storage):
    image = await storage.add()
    await storage.store.delete([image.thumbnail_key(image.thumbnails[1])])
    assert (await storage.reconcile()).thumbnails_failed == 1
    statuses = [t.status for t in (await storage.images.get("ada", image.id)).thumbnails]
    assert statuses == [ThumbnailStatus.READY, ThumbnailStatus.FAILED, ThumbnailStatus.READY]
    assert (await storage.reconcile()).thumbnails_failed == 0


async def test_a_sidecar_that_is_missing_is_written(storage: Storage):
    """As of every image from before there were sidecars."""
    image = await storage.add()
    edited = await storage.images.edit("ada", image.id, changes={"description": "At the sea"})
    await storage.store.delete([image.sidecar_key])
    assert await storage.reconcile() == Findings(images=1, objects=4, sidecars_written=1)
    assert read_sidecar(await storage.sidecar(image)).description == edited.description
    assert await storage.reconcile() == Findings(images=1, objects=5)


async def test_what_its_owner_deleted_goes_at_once(storage: Storage):
    image, kept = await storage.add(), await storage.add()
    await storage.images.remove("ada", image.id, deleted_at=system_clock())
    assert (await storage.reconcile()).deleted_finished == 5
    assert sorted(await storage.keys()) == sorted(kept.object_keys)
    assert await storage.tombstones.open_tombstones(deleted_before=system_clock() + DAY, limit=9) == []


async def test_what_is_left_of_a_deleted_account_goes_at_once_and_what_came_after_it_does_not(storage: Storage):
    old = await storage.put(make_image())
    await storage.owners.forget("ada", but_job="", deleted_at=await storage.store.now() + MINUTE)
    assert (await storage.reconcile()).deleted_finished == 5
    assert await storage.keys() == []
    await storage.owners.forget("ada", but_job="", deleted_at=await storage.store.now() - MINUTE)
    await storage.put(old)
    findings = await storage.reconcile()
    assert (findings.deleted_finished, findings.unreferenced) == (0, 5)


async def test_direct_uploads_that_nobody_completed_are_swept_a_day_after_they_arrived(storage: Storage):
    upload_id = new_id()
    await storage.store.put(f"incoming/ada/{upload_id}", b"x", content_type="image/jpeg")
    assert (await storage.reconcile(after=DAY - MINUTE)).expired_deleted == 0
    assert (await storage.reconcile(after=DAY + MINUTE)).expired_deleted == 1
    assert await storage.keys() == []


async def test_what_is_not_an_images_object_is_not_touched(storage: Storage):
    strange = ["images/ada/notes.txt", "images/ada/not-an-id/original.jpg", "incoming/x", "images/a/b/c/d"]
    for key in strange:
        await storage.store.put(key, b"x", content_type="image/jpeg")
    for after in (timedelta(), OVER):
        assert await storage.reconcile(after=after) == Findings()
    assert sorted(await storage.keys()) == sorted(strange)


async def test_edits_at_once_leave_a_sidecar_that_says_what_the_record_says(storage: Storage):
    image = await storage.add()

    async def edit(changes: dict[str, str | None]) -> None:
        edited = await storage.images.edit("ada", image.id, changes=changes)
        await rewrite_sidecar(storage.store, storage.images, edited)

    await asyncio.gather(*(edit({"filename": f"{n}.jpg"}) for n in range(8)), edit({"description": "At the sea"}))
    record = await storage.images.get("ada", image.id)
    said = json.loads(await storage.sidecar(image))
    assert (said["filename"], said["description"]) == (record.filename, record.description)
