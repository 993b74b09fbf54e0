"""Tests of requests with an idempotency key: what a retry gets during, after and instead of the first try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.common import idempotency
from app.common.idempotency import Idempotency
from app.domain.claims import ClaimLost, IdempotencyRecord, RequestClaim
from app.domain.errors import DependencyUnavailable, IdempotencyKeyReused, RequestInProgress
from app.domain.ids import new_id
from app.tables.sqlite import SqliteIdempotencyTable, open_sqlite
from tests.failing import Failing
from tests.reconcile_helpers import system_clock
from tests.unit.waiting import wait_until

LONG_LEASE = 600
"""Seconds. No test takes that long, so that no lease ends unless a test makes it short."""
SHORT_LEASE = 0.3
DAY = timedelta(days=1)


@dataclass
class Requests:
    """The requests of one process, all with the same idempotency key."""

    table: Any
    created: set[str] = field(default_factory=set)
    """The ids of everything that was created. Several processes may share it."""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `create` is called."""
    searched: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `find` is called."""

    async def run(self, create: Callable[[RequestClaim], Awaitable[str]], *, fingerprint: str = "a") -> str:
        async def find(result_id: str) -> str | None:
            self.searched.set()
            return result_id if result_id in self.created else None

        requests = Idempotency(self.table, clock=system_clock)
        return await requests.run("ada", "key", fingerprint=fingerprint, find=find, create=create)

    async def create(self, claim: RequestClaim) -> str:
        self.created.add(claim.result_id)
        return claim.result_id

    def create_after(self, event: asyncio.Event) -> Callable[[RequestClaim], Awaitable[str]]:
        async def create(claim: RequestClaim) -> str:
            self.started.set()
            await event.wait()
            return await self.create(claim)

        return create


async def fail(claim: RequestClaim) -> str:
    raise DependencyUnavailable("store")


async def cancel(claim: RequestClaim) -> str:
    raise asyncio.CancelledError


def set_lease(monkeypatch: pytest.MonkeyPatch, seconds: float, *, renewal_seconds: float = LONG_LEASE) -> None:
    monkeypatch.setattr(idempotency, "LEASE_SECONDS", seconds)
    monkeypatch.setattr(idempotency, "_RENEWALS_PER_LEASE", seconds / renewal_seconds)


@pytest.fixture
async def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Requests]:
    set_lease(monkeypatch, LONG_LEASE)
    monkeypatch.setattr(idempotency, "_POLL_SECONDS", 0.02)
    async with open_sqlite(tmp_path / "db") as database:
        yield Requests(SqliteIdempotencyTable(database))


async def test_a_retry_returns_the_result_of_the_first_try(requests: Requests):
    first = await requests.run(requests.create)
    assert await requests.run(requests.create) == first
    assert len(requests.created) == 1


async def test_a_different_request_with_the_same_key_is_refused(requests: Requests):
    await requests.run(requests.create)
    with pytest.raises(IdempotencyKeyReused):
        await requests.run(requests.create, fingerprint="b")


async def test_a_retry_is_refused_while_the_first_try_renews_its_lease(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
):
    set_lease(monkeypatch, LONG_LEASE, renewal_seconds=0.05)
    may_finish = asyncio.Event()
    first = asyncio.create_task(requests.run(requests.create_after(may_finish)))
    await requests.started.wait()
    with pytest.raises(RequestInProgress):
        await requests.run(requests.create)
    may_finish.set()
    assert requests.created == {await first}


async def test_a_retry_waits_for_the_first_try_and_returns_its_result(requests: Requests):
    may_finish = asyncio.Event()
    first = asyncio.create_task(requests.run(requests.create_after(may_finish)))
    await requests.started.wait()
    second = asyncio.create_task(requests.run(requests.create))
    await requests.searched.wait()
    may_finish.set()
    assert await first == await second
    assert len(requests.created) == 1


async def test_a_retry_takes_over_from_a_process_that_was_killed(requests: Requests, monkeypatch: pytest.MonkeyPatch):
    set_lease(monkeypatch, SHORT_LEASE)
    killed = Requests(Failing(requests.table, on="abandon"), requests.created)
    with pytest.raises(asyncio.CancelledError):
        await killed.run(cancel)
    assert requests.created == set()
    assert requests.created == {await requests.run(requests.create)}


async def test_a_process_that_lost_its_claim_creates_nothing(requests: Requests):
    async def lose(claim: RequestClaim) -> str:
        raise ClaimLost

    with pytest.raises(RequestInProgress):
        await requests.run(lose)


async def test_a_retry_after_a_failed_first_try_starts_immediately(requests: Requests):
    with pytest.raises(DependencyUnavailable):
        await requests.run(fail)
    assert await requests.table.find("ada", "key") is None
    assert requests.created == {await requests.run(requests.create)}


async def test_a_first_try_that_failed_after_it_created_the_result_is_not_repeated(requests: Requests):
    async def create_and_fail(claim: RequestClaim) -> str:
        await requests.create(claim)
        raise DependencyUnavailable("queue")

    with pytest.raises(DependencyUnavailable):
        await requests.run(create_and_fail)
    (created,) = requests.created
    assert await requests.run(requests.create) == created
    assert requests.created == {created}


async def test_a_result_is_returned_although_the_record_could_not_be_marked_done(requests: Requests):
    table = Failing(requests.table, on="finish")
    first = await Requests(table, requests.created).run(requests.create)
    assert table.failed == 1
    assert await requests.run(requests.create) == first


async def test_a_request_completes_although_its_lease_cannot_be_renewed(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
):
    set_lease(monkeypatch, SHORT_LEASE, renewal_seconds=0.05)
    table = Failing(requests.table, on="renew")

    async def create_after_failed_renewals(claim: RequestClaim) -> str:
        await wait_until(lambda: table.failed >= 3)
        return await requests.create(claim)

    assert requests.created == {await Requests(table, requests.created).run(create_after_failed_renewals)}


async def test_a_result_that_was_deleted_is_not_created_again(requests: Requests):
    await requests.run(requests.create)
    requests.created.clear()
    with pytest.raises(IdempotencyKeyReused, match="was deleted"):
        await requests.run(requests.create)
    assert requests.created == set()


async def test_the_long_lease_of_an_earlier_version_is_respected(requests: Requests, monkeypatch: pytest.MonkeyPatch):
    set_lease(monkeypatch, SHORT_LEASE)
    now = system_clock()
    record = IdempotencyRecord(
        "ada", "key", "a", new_id(), done=False, leased_until=now + timedelta(hours=1), expires_at=now + DAY
    )
    await requests.table.begin(record, now=now)
    with pytest.raises(RequestInProgress):
        await requests.run(requests.create)
    assert requests.created == set()
