"""A request with an idempotency key: what a retry gets while, after and in place of the first try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.adapters.sqlite import SqliteOnceTable, open_sqlite
from app.core.errors import DependencyUnavailable, IdempotencyKeyReused, RequestInProgress
from app.core.ids import new_id
from app.core.models import OnceRecord, RequestClaim
from app.usecases import once as module
from app.usecases.once import Once
from tests.failing import Failing
from tests.reconciling import system_clock

LEASE = 0.6
DAY = timedelta(days=1)


@dataclass
class Requests:
    """One process's idempotent requests, all under the same key; what they make stands in `made`."""

    table: Any
    made: dict[str, str] = field(default_factory=dict)

    async def run(self, make: Callable[[RequestClaim], Awaitable[str]], *, fingerprint: str = "a") -> str:
        async def find(result_id: str) -> str | None:
            return self.made.get(result_id)

        once = Once(self.table, clock=system_clock)
        return await once.run("ada", "key", fingerprint=fingerprint, find=find, make=make)

    async def make(self, claim: RequestClaim) -> str:
        self.made[claim.result_id] = claim.result_id
        return claim.result_id

    async def make_slowly(self, claim: RequestClaim) -> str:
        await asyncio.sleep(2.5 * LEASE)
        return await self.make(claim)

    async def die(self, claim: RequestClaim) -> str:
        raise asyncio.CancelledError


@pytest.fixture
async def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Requests]:
    monkeypatch.setattr(module, "LEASE_SECONDS", LEASE)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.02)
    async with open_sqlite(tmp_path / "db") as database:
        yield Requests(SqliteOnceTable(database))


async def test_a_retry_gets_what_the_first_try_made(requests: Requests):
    first = await requests.run(requests.make)
    assert await requests.run(requests.make) == first
    assert len(requests.made) == 1


async def test_another_request_under_the_same_key_is_refused(requests: Requests):
    await requests.run(requests.make)
    with pytest.raises(IdempotencyKeyReused):
        await requests.run(requests.make, fingerprint="b")


async def test_a_retry_while_the_first_try_is_alive_is_told_to_wait(requests: Requests):
    first = asyncio.create_task(requests.run(requests.make_slowly))
    await asyncio.sleep(0.05)
    with pytest.raises(RequestInProgress):
        await requests.run(requests.make)
    assert await requests.run(requests.make) if first.done() else await first
    assert len(requests.made) == 1


async def test_a_retry_waits_for_a_first_try_that_is_about_to_end(requests: Requests):
    async def make_soon(claim: RequestClaim) -> str:
        await asyncio.sleep(LEASE / 10)
        return await requests.make(claim)

    first, second = await asyncio.gather(requests.run(make_soon), requests.run(make_soon))
    assert first == second
    assert len(requests.made) == 1


async def test_a_retry_takes_over_from_a_process_that_was_killed(requests: Requests):
    killed = Requests(Failing(requests.table, on="abandon"), requests.made)
    with pytest.raises(asyncio.CancelledError):
        await killed.run(killed.die)
    (made,) = {await requests.run(requests.make)}
    assert requests.made == {made: made}


async def test_a_retry_after_a_first_try_that_failed_begins_at_once(requests: Requests):
    async def fail(claim: RequestClaim) -> str:
        raise DependencyUnavailable("store")

    with pytest.raises(DependencyUnavailable):
        await requests.run(fail)
    assert await requests.table.find("ada", "key") is None
    assert await requests.run(requests.make)


async def test_a_lease_that_cannot_be_renewed_ends_nothing_by_itself(requests: Requests):
    cut_off = Requests(Failing(requests.table, on="renew"), requests.made)
    assert await cut_off.run(cut_off.make_slowly)


async def test_what_was_made_and_deleted_since_is_not_made_again(requests: Requests):
    made = await requests.run(requests.make)
    del requests.made[made]
    with pytest.raises(IdempotencyKeyReused):
        await requests.run(requests.make)


async def test_the_long_lease_of_an_earlier_version_is_respected(requests: Requests):
    now = system_clock()
    record = OnceRecord(
        "ada", "key", "a", new_id(), done=False, leased_until=now + timedelta(seconds=200), expires_at=now + DAY
    )
    await requests.table.begin(record, now=now)
    with pytest.raises(RequestInProgress):
        await requests.run(requests.make)
    assert requests.made == {}
