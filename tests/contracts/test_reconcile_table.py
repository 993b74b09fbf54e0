"""The contract of every ReconcileTable: see app.ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.ids import new_id
from app.domain.reconciliation import Discrepancy, ReconcileState, ReconcileStep, Segment
from app.ports.consistency_tables import ReconcileTable
from app.tables.dynamodb import DynamoDBReconcileTable
from app.tables.sqlite import SqliteReconcileTable, open_sqlite
from tests.contracts.tables import NOON, open_table

DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", "dynamodb"])
async def table(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ReconcileTable]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield SqliteReconcileTable(database)
    else:
        async with open_table(request.getfixturevalue("aws")) as opened:
            yield DynamoDBReconcileTable(opened)


@pytest.fixture
def owner() -> str:
    return f"owner.{new_id()}_x"


async def noted(table: ReconcileTable, owner: str) -> list[Discrepancy]:
    return [each for shard in table.shards async for each in table.discrepancies(shard) if each.owner_id == owner]


async def test_discrepancy_keeps_the_time_it_was_first_seen(table: ReconcileTable, owner: str) -> None:
    image_id = new_id()
    await table.note_unreferenced(owner, image_id, ["original.jpg", "200.jpg"], at=NOON)
    await table.note_unreferenced(owner, image_id, ["200.jpg", "500.jpg"], at=NOON + DAY)
    await table.note_lost(owner, image_id, at=NOON + DAY)
    await table.note_lost(owner, image_id, at=NOON + 2 * DAY)
    unreferenced = {"original.jpg": NOON, "200.jpg": NOON, "500.jpg": NOON + DAY}
    assert await noted(table, owner) == [Discrepancy(owner, image_id, unreferenced, lost_since=NOON + DAY)]


async def test_notes_are_removed_one_by_one(table: ReconcileTable, owner: str) -> None:
    image_id = new_id()
    await table.note_unreferenced(owner, image_id, ["original.jpg", "200.jpg"], at=NOON)
    await table.note_lost(owner, image_id, at=NOON)
    await table.forget_unreferenced(owner, image_id, ["200.jpg", "never.jpg"])
    assert await noted(table, owner) == [Discrepancy(owner, image_id, {"original.jpg": NOON}, lost_since=NOON)]
    await table.forget_lost(owner, image_id)
    assert await noted(table, owner) == [Discrepancy(owner, image_id, {"original.jpg": NOON}, lost_since=None)]
    await table.forget_unreferenced(owner, image_id, [])
    await table.forget_unreferenced(owner, image_id, ["original.jpg"])
    assert await noted(table, owner) == []
    await table.forget_lost(owner, image_id)


async def test_each_image_is_one_discrepancy_however_many_there_are(table: ReconcileTable, owner: str) -> None:
    image_ids = sorted(new_id() for _ in range(60))
    names = ["original.jpg", "metadata.json", "200.jpg"]
    await asyncio.gather(*(table.note_unreferenced(owner, image_id, names, at=NOON) for image_id in image_ids))
    found = await noted(table, owner)
    assert sorted(each.image_id for each in found) == image_ids
    assert all(each.unreferenced == dict.fromkeys(names, NOON) for each in found)


async def test_discrepancies_continue_after_an_image(table: ReconcileTable, owner: str) -> None:
    for image_id in (new_id() for _ in range(40)):
        await table.note_unreferenced(owner, image_id, ["original.jpg", "200.jpg"], at=NOON)
    for shard in table.shards:
        found = [each async for each in table.discrepancies(shard)]
        assert found == sorted(found, key=lambda each: (each.owner_id, each.image_id))
        for number, last in enumerate(found):
            rest = table.discrepancies(shard, after=(last.owner_id, last.image_id))
            assert [each async for each in rest] == found[number + 1 :]


async def test_sqlite_walks_past_its_batches(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "service.db") as database:
        table = SqliteReconcileTable(database)
        image_ids = sorted(new_id() for _ in range(1201))
        await asyncio.gather(*(table.note_unreferenced("ada", i, ["a", "b"], at=NOON) for i in image_ids))
        found = [each async for each in table.discrepancies("all")]
        assert [each.image_id for each in found] == image_ids
        assert all(set(each.unreferenced) == {"a", "b"} for each in found)


async def test_state_is_saved_as_a_whole(table: ReconcileTable) -> None:
    saved = await table.reconcile_state()
    version = saved.version if saved else 0
    segment = Segment("images0", "images/ada/1/", claim=new_id(), leased_until=NOON)
    for step in (ReconcileStep.FINISHED, ReconcileStep.SETTLE):
        version += 1
        state = ReconcileState(
            new_id(),
            NOON,
            {"2026-11-20": 3, "2026-11-21": 0},
            version=version,
            started_at=NOON,
            confirmed=True,
            step=step,
            segments=(segment, Segment("another")),
            counts={"images": 5},
        )
        assert await table.save_reconcile_state(state)
        assert await table.reconcile_state() == state


async def test_of_concurrent_saves_one_succeeds(table: ReconcileTable) -> None:
    saved = await table.reconcile_state()
    version = saved.version + 1 if saved else 1
    states = [ReconcileState(new_id(), NOON, {}, version=version) for _ in range(5)]
    results = await asyncio.gather(*map(table.save_reconcile_state, states))
    assert results.count(True) == 1
    assert await table.reconcile_state() == states[results.index(True)]
    assert not await table.save_reconcile_state(ReconcileState(new_id(), NOON, {}, version=version + 2))


async def test_state_of_a_version_without_checkpoints_is_a_finished_run(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "service.db") as database:
        await database.execute(
            "INSERT INTO reconcile_state (number, run_id, unbroken_since, originals_deleted) VALUES (1, 'a', ?, ?)",
            NOON.isoformat(),
            '{"2026-11-20": 3}',
        )
        table = SqliteReconcileTable(database)
        assert await table.reconcile_state() == ReconcileState("a", NOON, {"2026-11-20": 3})
        assert await table.save_reconcile_state(ReconcileState("b", NOON, {}, version=1))


async def test_at_first_there_is_no_state(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "service.db") as database:
        assert await SqliteReconcileTable(database).reconcile_state() is None
