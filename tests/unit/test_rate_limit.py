"""Tests of rate limits, with a real counter table and a clock of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.common.rate_limit import RateLimit, RateLimiter
from app.domain.errors import TooManyAttempts
from app.tables.sqlite import SqliteCounterTable, SqliteDatabase, open_sqlite
from tests.unit.clock import ManualClock

LIMIT = RateLimit("tests", limit=2, window_seconds=60)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    async with open_sqlite(tmp_path / "db") as opened:
        yield opened


@pytest.fixture
def limiter(database: SqliteDatabase, clock: ManualClock) -> RateLimiter:
    return RateLimiter(SqliteCounterTable(database), key=b"k" * 32, clock=clock)


async def test_events_over_the_limit_are_refused_until_the_window_ends(limiter: RateLimiter, clock: ManualClock):
    for _ in range(2):
        await limiter.count(LIMIT, "ada")
    clock.advance(seconds=29.5)
    with pytest.raises(TooManyAttempts) as raised:
        await limiter.count(LIMIT, "ada")
    assert raised.value.retry_after == 31
    clock.advance(seconds=30.5)
    await limiter.count(LIMIT, "ada")


async def test_each_subject_and_each_purpose_is_counted_separately(limiter: RateLimiter):
    other = RateLimit("other", limit=2, window_seconds=60)
    for limit, subject in ((LIMIT, ("ada",)), (LIMIT, ("bob",)), (LIMIT, ("ada", "bob")), (other, ("ada",))):
        for _ in range(2):
            await limiter.count(limit, *subject)
        with pytest.raises(TooManyAttempts):
            await limiter.count(limit, *subject)


async def test_a_reset_forgets_the_events_of_one_subject(limiter: RateLimiter):
    for subject in ("ada", "bob"):
        for _ in range(2):
            await limiter.count(LIMIT, subject)
    await limiter.reset(LIMIT, "ada")
    await limiter.count(LIMIT, "ada")
    with pytest.raises(TooManyAttempts):
        await limiter.count(LIMIT, "bob")


async def test_events_that_wait_are_spread_over_the_following_windows(limiter: RateLimiter):
    waits = [await limiter.count_and_wait(LIMIT, "host") for _ in range(7)]
    assert waits == [0, 0, 60, 60, 120, 120, 180]


async def test_the_table_does_not_show_the_subject(limiter: RateLimiter, database: SqliteDatabase):
    await limiter.count(LIMIT, "ada@example.com", "\ud800")
    (row,) = await database.read("SELECT key FROM counters")
    assert "ada" not in row["key"]
