"""Tests of reconcile runs that are interrupted, continued, and shared by several processes."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.consistency.comparison import Comparison
from app.consistency.key_ranges import END_OF_IMAGES, middle, owner_at
from app.consistency.progress import PARALLEL, RunProgress
from app.consistency.reconciler import Reconciler
from app.consistency.report import ReconcileReport
from app.consistency.slices import Slice, SliceReport
from app.domain.errors import DependencyUnavailable
from app.domain.ids import new_id
from app.domain.images import Quota
from app.domain.object_keys import IMAGES_PREFIX, image_folder
from app.domain.reconciliation import ReconcileState, ReconcileStep, Segment
from tests.failing import Failing
from tests.reconcile_helpers import GRACE, make_reconciler
from tests.unit.test_reconciler import DAY, EXPIRED, HOUR, Storage, copy_database, keys_of, make_image, open_storage


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with open_storage(tmp_path) as opened:
        yield opened


@pytest.fixture
def checkpoint_after_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.consistency.reconciler._SLICE_SECONDS", 0)
    # Fewer ranges, because each of them costs some commits.
    monkeypatch.setattr("app.consistency.progress.PARALLEL", 3)


def reconciler(storage: Storage, *, after: timedelta = timedelta()) -> Reconciler:
    return make_reconciler(
        store=storage.store,
        images=storage.images,
        owners=storage.owners,
        tombstones=storage.tombstones,
        table=storage.table,
        owner_index=storage.owner_index,
        after=after,
    )


async def begin(storage: Storage, *, after: timedelta = timedelta(), confirm: bool = False) -> ReconcileState:
    """Begin a run, as a process does that is killed before its first checkpoint."""
    assert await reconciler(storage, after=after).run_until(time.monotonic(), confirm=confirm) is None
    state = await storage.table.reconcile_state()
    assert state is not None
    return state


async def add_discrepancies(storage: Storage) -> list[str]:
    """Add 21 images: of three owners, every third has no objects, has no record, or is intact; of `zoe`, all are lost.

    Returns the keys of the intact ones.
    """
    intact = []
    for owner_id, number in itertools.product(("ada", "ada-2", "bob"), range(6)):
        if number % 3 == 0:
            await storage.store.delete((await storage.add(owner_id)).object_keys)
        elif number % 3 == 1:
            await storage.put(make_image(owner_id))
        else:
            intact.append(await storage.add(owner_id))
    for _ in range(3):
        await storage.store.delete((await storage.add("zoe")).object_keys)
    return keys_of(*intact)


FIRST = ReconcileReport(images=15, objects=60, unreferenced=30, records_lost=9)
SECOND = ReconcileReport(images=15, objects=60, unreferenced_deleted=30, records_removed=9)


@pytest.mark.usefixtures("checkpoint_after_each_image")
async def test_a_run_with_a_checkpoint_after_each_image_finds_the_same(storage: Storage):
    intact = await add_discrepancies(storage)
    assert await storage.reconcile() == FIRST
    assert await storage.reconcile(after=EXPIRED, confirm=True) == SECOND
    assert sorted(await storage.keys()) == intact


@pytest.mark.usefixtures("checkpoint_after_each_image")
async def test_processes_that_run_at_the_same_time_share_one_run(storage: Storage):
    intact = await add_discrepancies(storage)
    assert await asyncio.gather(*(storage.reconcile() for _ in range(2))) == [FIRST] * 2
    later = await asyncio.gather(*(storage.reconcile(after=EXPIRED, confirm=True) for _ in range(2)))
    assert later == [SECOND] * 2
    assert sorted(await storage.keys()) == intact
    markers = [stored.key async for stored in storage.store.walk("reconcile/")]
    state = await storage.table.reconcile_state()
    assert state is not None
    assert markers == [f"reconcile/{state.run_id}"]


@pytest.mark.usefixtures("checkpoint_after_each_image")
async def test_a_run_that_fails_again_and_again_continues_from_its_checkpoints(storage: Storage):
    intact = await add_discrepancies(storage)
    calls = ("size", "walk", "now", "delete")
    for after, expected in ((timedelta(), FIRST), (EXPIRED, SECOND)):
        state = await begin(storage, after=after, confirm=True)
        for failures in range(40):
            failing = Failing(storage.store, on=calls[failures % len(calls)], times=1)
            interrupted = make_reconciler(
                store=failing,
                images=storage.images,
                owners=storage.owners,
                tombstones=storage.tombstones,
                table=storage.table,
                owner_index=storage.owner_index,
                after=after,
            )
            try:
                report = await interrupted.run()
            except DependencyUnavailable:
                continue
            break
        else:
            report = await reconciler(storage, after=after).run(confirm=True)
        assert report == expected
        finished = await storage.table.reconcile_state()
        assert finished is not None
        assert finished.run_id == state.run_id
    assert sorted(await storage.keys()) == intact


async def test_grace_period_starts_when_an_object_is_found_and_not_when_the_run_began(storage: Storage):
    await storage.put(make_image())
    await begin(storage)
    assert (await storage.reconcile(after=6 * DAY)).unreferenced == 5
    report = await storage.reconcile(after=EXPIRED)
    assert (report.unreferenced, report.unreferenced_deleted) == (5, 0)
    assert (await storage.reconcile(after=6 * DAY + EXPIRED)).unreferenced_deleted == 5


async def test_what_expires_during_a_run_is_left_for_the_next_one(storage: Storage):
    await storage.put(make_image())
    await storage.reconcile()
    await begin(storage, after=GRACE - HOUR)
    assert (await storage.reconcile(after=EXPIRED)).unreferenced == 5
    assert (await storage.reconcile(after=EXPIRED)).unreferenced_deleted == 5


async def test_a_run_that_was_left_for_a_week_is_replaced(storage: Storage):
    first = await begin(storage)
    assert (await begin(storage, after=7 * DAY - HOUR)).run_id == first.run_id
    second = await begin(storage, after=7 * DAY + HOUR)
    assert second.run_id != first.run_id
    assert await storage.store.size(f"reconcile/{first.run_id}") is None


async def test_confirmation_applies_to_a_run_in_progress(storage: Storage):
    for _ in range(11):
        await storage.put(make_image())
    await storage.reconcile()
    unconfirmed = await begin(storage, after=EXPIRED)
    confirmed = await begin(storage, after=EXPIRED, confirm=True)
    assert confirmed.run_id != unconfirmed.run_id
    assert (await begin(storage, after=EXPIRED, confirm=True)).run_id == confirmed.run_id
    assert (await storage.reconcile(after=EXPIRED)).unreferenced_deleted == 55


async def test_confirmation_is_valid_for_a_day(storage: Storage):
    confirmed = await begin(storage, confirm=True)
    assert (await begin(storage, after=DAY - HOUR)).run_id == confirmed.run_id
    assert not (await begin(storage, after=DAY + HOUR)).confirmed


async def test_unfinished_run_of_a_restored_table_is_replaced(tmp_path: Path):
    async with open_storage(tmp_path) as storage:
        image = await storage.put(make_image())
        await storage.reconcile()
        unfinished = await begin(storage, after=EXPIRED)
        copy_database(tmp_path)
        await storage.images.add(image, quota=Quota())
        await storage.reconcile(after=EXPIRED)
        await storage.reconcile(after=EXPIRED)
    async with open_storage(tmp_path, database="copy") as restored:
        report = await restored.reconcile(after=EXPIRED)
        state = await restored.table.reconcile_state()
        assert state is not None
        assert state.run_id != unfinished.run_id
        assert (report.unreferenced, report.unreferenced_deleted) == (5, 0)


async def test_segment_of_a_dead_process_is_taken_over_when_its_lease_has_ended(storage: Storage):
    await storage.add()
    dead = reconciler(storage)._progress
    await dead.begin(confirm=False)
    _, work = await dead.claim(ends_at=time.monotonic())
    assert work is not None
    waiting = asyncio.create_task(storage.reconcile())
    await asyncio.wait([waiting], timeout=0.2)
    assert not waiting.done()
    assert await storage.reconcile(after=timedelta(minutes=2)) == ReconcileReport(images=1, objects=5)
    assert await waiting == ReconcileReport(images=1, objects=5)


async def test_slice_is_not_saved_after_another_process_has_taken_over(storage: Storage):
    dead = reconciler(storage)._progress
    await dead.begin(confirm=False)
    _, work = await dead.claim(ends_at=time.monotonic())
    assert work is not None
    other = RunProgress(reconciler(storage, after=timedelta(minutes=2))._ports)
    _, taken = await other.claim(ends_at=time.monotonic())
    assert taken is not None
    work.report.images, work.done = 1000, True
    await dead.save(work)
    state = await storage.table.reconcile_state()
    assert state is not None
    assert state.segments == (taken.segment,)
    assert not state.counts


async def test_a_save_whose_response_was_lost_is_not_repeated(storage: Storage):
    await storage.add()
    save = storage.table.save_reconcile_state

    async def refuse_what_was_saved(state: ReconcileState) -> bool:
        await save(state)
        return False

    storage.table.save_reconcile_state = refuse_what_was_saved  # type: ignore[method-assign]
    assert await storage.reconcile() == ReconcileReport(images=1, objects=5)


async def test_range_of_keys_is_divided_at_a_checkpoint(storage: Storage):
    for _ in range(3):
        await storage.add()
    progress = reconciler(storage)._progress
    await progress.begin(confirm=False)
    _, work = await progress.claim(ends_at=time.monotonic())
    assert work is not None
    work.after = image_folder("ada", new_id())
    await progress.save(work)
    state = await storage.table.reconcile_state()
    assert state is not None
    assert len(state.segments) == PARALLEL
    assert state.step is ReconcileStep.COMPARE
    bounds = [(segment.after, segment.name) for segment in state.segments]
    assert bounds[0][0] == work.after
    assert bounds[-1][1] == END_OF_IMAGES
    assert all(low < high for low, high in bounds)
    assert all(left[1] == right[0] for left, right in itertools.pairwise(bounds))


async def test_records_are_found_wherever_the_range_of_keys_is_divided(storage: Storage):
    """Also those without objects, between which and the other images of their owner the division may be."""
    await add_discrepancies(storage)
    state = await begin(storage)
    folders = [
        image_folder(owner_id, image.id)
        for owner_id in ("ada", "ada-2", "bob")
        async for image in storage.images.walk(owner_id)
    ]
    comparison = Comparison(reconciler(storage)._ports)
    for divided_at in (*folders, *(folder[:-3] for folder in folders), "images/ada-", "images/b", "images/c/0"):
        total = SliceReport()
        for after, until in ((IMAGES_PREFIX, divided_at), (divided_at, END_OF_IMAGES)):
            work = Slice(state, Segment(until), await storage.store.now(), math.inf, after, total)
            await comparison.compare(work)
            assert work.done
        assert (total.images, total.objects) == (12, 60), divided_at


def test_a_middle_lies_between_its_ends():
    numbers = random.Random(5)
    characters = "-.09AZ_az/"
    texts = sorted({"".join(numbers.choices(characters, k=numbers.randint(1, 5))) for _ in range(300)})
    for low, high in itertools.pairwise(texts):
        between = middle(low, high)
        assert between is None or low < between < high
    low, high = image_folder("ada", new_id()), image_folder("ada", new_id())
    for _ in range(300):
        high = middle(low, high) or high
    assert low < high
    assert high.startswith(low[:-5])
    assert middle(IMAGES_PREFIX, END_OF_IMAGES) is not None


def test_positions_within_the_objects_of_an_owner_are_recognized():
    assert owner_at("images/ada/0198") == ("ada", "0198")
    assert owner_at(image_folder("ada", "x")) == ("ada", "x")
    assert owner_at("images/ada") is owner_at(END_OF_IMAGES) is owner_at(IMAGES_PREFIX) is None
