"""The contract of every CounterTable: see app.ports.tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.counters import WindowCount
from app.domain.ids import new_id
from app.ports.counter_table import CounterTable
from app.tables.dynamodb import DynamoDBCounterTable
from app.tables.sqlite import SqliteCounterTable, open_sqlite
from tests.contracts.tables import NOON, open_table

INSTANT = timedelta(microseconds=1)


@pytest.fixture(params=["sqlite", "dynamodb"])
async def counters(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CounterTable]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield SqliteCounterTable(database)
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield DynamoDBCounterTable(table)


async def test_events_are_counted_within_the_window_of_the_first(counters: CounterTable) -> None:
    key = f"sign-in:{new_id()}"
    resets_at = NOON + timedelta(seconds=60)
    for n in range(1, 4):
        now = NOON + timedelta(seconds=10 * n - 10)
        assert await counters.increment(key, now=now, window_seconds=60) == WindowCount(n, resets_at)


async def test_a_new_window_starts_when_the_last_has_ended(counters: CounterTable) -> None:
    key = f"sign-in:{new_id()}"
    end = NOON + timedelta(seconds=60)
    await counters.increment(key, now=NOON, window_seconds=60)
    assert (await counters.increment(key, now=end - INSTANT, window_seconds=60)).count == 2
    assert await counters.increment(key, now=end, window_seconds=30) == WindowCount(1, end + timedelta(seconds=30))
    assert (await counters.increment(key, now=end, window_seconds=30)).count == 2


async def test_the_current_count_is_that_of_the_open_window(counters: CounterTable) -> None:
    key = f"sign-in:{new_id()}"
    assert await counters.current(key, now=NOON) == 0
    for _ in range(2):
        await counters.increment(key, now=NOON, window_seconds=60)
    end = NOON + timedelta(seconds=60)
    assert await counters.current(key, now=end - INSTANT) == 2
    assert await counters.current(key, now=end) == 0
    await counters.reset(key)
    assert await counters.current(key, now=NOON) == 0


async def test_no_concurrent_event_is_lost(counters: CounterTable) -> None:
    key = f"sign-in:{new_id()}"
    results = await asyncio.gather(*(counters.increment(key, now=NOON, window_seconds=60) for _ in range(50)))
    assert sorted(counted.count for counted in results) == list(range(1, 51))
    assert {counted.resets_at for counted in results} == {NOON + timedelta(seconds=60)}


async def test_no_concurrent_event_is_lost_when_a_new_window_starts(counters: CounterTable) -> None:
    key = f"sign-in:{new_id()}"
    await counters.increment(key, now=NOON, window_seconds=60)
    later = NOON + timedelta(seconds=61)
    results = await asyncio.gather(*(counters.increment(key, now=later, window_seconds=60) for _ in range(50)))
    assert sorted(counted.count for counted in results) == list(range(1, 51))


async def test_reset_affects_only_its_own_key(counters: CounterTable) -> None:
    key, other = f"sign-in:{new_id()}", f"sign-in:{new_id()}:" + "é" * 3000
    for each in (key, other):
        await counters.increment(each, now=NOON, window_seconds=60)
    await counters.reset(key)
    await counters.reset(f"never-{key}")
    assert (await counters.increment(key, now=NOON, window_seconds=60)).count == 1
    assert (await counters.increment(other, now=NOON, window_seconds=60)).count == 2
