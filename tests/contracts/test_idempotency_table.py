"""The contract of every IdempotencyTable: see app.ports."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from app.domain.claims import IdempotencyRecord
from app.domain.ids import new_id
from app.domain.images import Quota
from app.ports.tables import IdempotencyTable
from app.tables.dynamodb import DynamoDBIdempotencyTable, DynamoDBImageTable, DynamoDBTable
from app.tables.sqlite import SqliteIdempotencyTable, open_sqlite
from tests.aws_emulators import AwsEmulator
from tests.contracts.tables import NOON, make_image, open_table

DAY = timedelta(days=1)
LEASE = timedelta(seconds=60)
INSTANT = timedelta(microseconds=1)

ODD_KEYS = ["a", "A", " a", "a ", "a\0b", "a\0", "#", "IMAGE#", "clé", "cle\u0301", "🏖", "%", "a" * 2000, "é" * 5000]


@pytest.fixture(params=["sqlite", "dynamodb"])
async def once(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[IdempotencyTable]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield SqliteIdempotencyTable(database)
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield DynamoDBIdempotencyTable(table)


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


def make_record(owner_id: str, **changes: object) -> IdempotencyRecord:
    record = IdempotencyRecord(
        owner_id=owner_id,
        key="8e03978e-40d5",
        fingerprint="0f" * 32,
        result_id=new_id(),
        done=False,
        leased_until=NOON + LEASE,
        expires_at=NOON + DAY,
    )
    return replace(record, **cast(dict[str, Any], changes))


async def what_is_there(once: IdempotencyTable, owner_id: str, key: str = "8e03978e-40d5") -> IdempotencyRecord:
    """Return an existing record. Beginning again does not change it."""
    there = await once.begin(make_record(owner_id, key=key), now=NOON)
    assert there
    return there


async def test_second_caller_receives_the_record_of_the_first(once: IdempotencyTable, owner: str) -> None:
    record = make_record(owner)
    assert await once.begin(record, now=NOON) is None
    assert await once.begin(make_record(owner, fingerprint="another"), now=NOON) == record
    assert await once.begin(make_record(owner), now=NOON) == record


async def test_times_in_another_time_zone_are_stored_as_the_same_instant(once: IdempotencyTable, owner: str) -> None:
    zone = timezone(timedelta(hours=-5))
    leased_until, expires_at = ((NOON + d).replace(microsecond=0).astimezone(zone) for d in (LEASE, DAY))
    record = make_record(owner, leased_until=leased_until, expires_at=expires_at)
    await once.begin(record, now=NOON)
    assert await what_is_there(once, owner) == record


async def test_begin_is_idempotent_for_the_same_record(once: IdempotencyTable, owner: str) -> None:
    record = make_record(owner)
    assert await once.begin(record, now=NOON) is None
    assert await once.begin(record, now=NOON) is None
    assert await what_is_there(once, owner) == record


async def test_exactly_one_of_many_concurrent_callers_begins(once: IdempotencyTable, owner: str) -> None:
    records = [make_record(owner) for _ in range(50)]
    results = await asyncio.gather(*(once.begin(record, now=NOON) for record in records))
    assert results.count(None) == 1
    winner = records[results.index(None)]
    assert [result for result in results if result] == [winner] * 49


async def test_exactly_one_of_many_concurrent_callers_begins_after_a_record_expired(
    once: IdempotencyTable, owner: str
) -> None:
    await once.begin(make_record(owner), now=NOON)
    records = [make_record(owner, expires_at=NOON + 2 * DAY) for _ in range(50)]
    results = await asyncio.gather(*(once.begin(record, now=NOON + DAY) for record in records))
    assert results.count(None) == 1
    assert [result for result in results if result] == [records[results.index(None)]] * 49


@pytest.mark.parametrize("done", [False, True], ids=["under way", "done"])
async def test_record_expires_exactly_at_its_end(once: IdempotencyTable, owner: str, *, done: bool) -> None:
    record = make_record(owner, done=done)
    await once.begin(record, now=NOON)
    successor = make_record(owner, expires_at=NOON + 2 * DAY)
    assert await once.begin(successor, now=NOON + DAY - INSTANT) == record
    assert await once.begin(successor, now=NOON + DAY) is None
    assert await once.begin(make_record(owner), now=NOON + DAY) == successor


async def test_keys_of_two_owners_are_independent(once: IdempotencyTable, owner: str) -> None:
    record, strangers = make_record(owner), make_record(f"{owner}-2")
    assert await once.begin(record, now=NOON) is None
    assert await once.begin(strangers, now=NOON) is None
    stranger = replace(record, owner_id=f"{owner}-3")
    assert not await once.take_over(replace(stranger, result_id=new_id()), seen=stranger)
    assert not await once.renew(stranger, leased_until=NOON + 2 * LEASE)
    assert await once.find(stranger.owner_id, stranger.key) is None
    await once.finish(stranger)
    await once.abandon(stranger)
    await once.abandon(replace(record, owner_id=strangers.owner_id))
    assert await what_is_there(once, owner) == record
    assert await what_is_there(once, f"{owner}-2") == strangers


async def test_long_and_unusual_keys_are_distinct(once: IdempotencyTable, owner: str) -> None:
    records = [make_record(owner, key=key) for key in ODD_KEYS]
    assert [await once.begin(record, now=NOON) for record in records] == [None] * len(ODD_KEYS)
    assert [await what_is_there(once, owner, key) for key in ODD_KEYS] == records


async def test_long_and_unusual_fingerprints_are_returned_unchanged(once: IdempotencyTable, owner: str) -> None:
    for fingerprint in ODD_KEYS:
        record = make_record(owner, key=new_id(), fingerprint=fingerprint)
        await once.begin(record, now=NOON)
        assert await what_is_there(once, owner, record.key) == record


async def test_unchanged_record_can_be_taken_over(once: IdempotencyTable, owner: str) -> None:
    record = make_record(owner)
    await once.begin(record, now=NOON)
    successor = make_record(owner, fingerprint="another", leased_until=NOON + 2 * LEASE, expires_at=NOON + 2 * DAY)
    assert not await once.take_over(successor, seen=replace(record, leased_until=NOON + LEASE + INSTANT))
    assert not await once.take_over(successor, seen=replace(record, result_id=new_id()))
    assert await what_is_there(once, owner) == record
    assert await once.take_over(successor, seen=record)
    assert await what_is_there(once, owner) == successor


async def test_renewed_record_is_not_taken_over(once: IdempotencyTable, owner: str) -> None:
    record = make_record(owner)
    await once.begin(record, now=NOON)
    assert await once.renew(record, leased_until=NOON + 2 * LEASE)
    renewed = replace(record, leased_until=NOON + 2 * LEASE)
    assert await once.find(owner, record.key) == renewed
    assert not await once.take_over(make_record(owner), seen=record)
    assert await once.take_over(make_record(owner), seen=renewed)


async def test_a_lease_that_was_lost_is_not_renewed(once: IdempotencyTable, owner: str) -> None:
    record, successor, done = make_record(owner), make_record(owner), make_record(owner, key="another")
    await once.begin(record, now=NOON)
    await once.begin(done, now=NOON)
    await once.finish(done)
    assert await once.take_over(successor, seen=record)
    assert not await once.renew(record, leased_until=NOON + 2 * LEASE)
    assert not await once.renew(done, leased_until=NOON + 2 * LEASE)
    assert await once.find(owner, record.key) == successor


async def test_takeover_is_idempotent(once: IdempotencyTable, owner: str) -> None:
    record, successor = make_record(owner), make_record(owner, leased_until=NOON + 2 * LEASE)
    await once.begin(record, now=NOON)
    assert await once.take_over(successor, seen=record)
    assert await once.take_over(successor, seen=record)
    assert await what_is_there(once, owner) == successor


async def test_exactly_one_of_many_concurrent_takeovers_succeeds(once: IdempotencyTable, owner: str) -> None:
    record = make_record(owner)
    await once.begin(record, now=NOON)
    rivals = [make_record(owner, leased_until=NOON + 2 * LEASE) for _ in range(50)]
    results = await asyncio.gather(*(once.take_over(rival, seen=record) for rival in rivals))
    assert results.count(True) == 1
    assert results.count(False) == 49
    assert await what_is_there(once, owner) == rivals[results.index(True)]


async def test_finished_record_is_not_taken_over(once: IdempotencyTable, owner: str) -> None:
    record = make_record(owner)
    await once.begin(record, now=NOON)
    await once.finish(record)
    assert not await once.take_over(make_record(owner), seen=record)
    assert await what_is_there(once, owner) == replace(record, done=True)


async def test_missing_record_is_not_taken_over(once: IdempotencyTable, owner: str) -> None:
    assert not await once.take_over(make_record(owner), seen=make_record(owner))
    assert await once.begin(make_record(owner), now=NOON) is None


async def test_finish_changes_only_the_state_of_the_record(once: IdempotencyTable, owner: str) -> None:
    record = make_record(owner)
    await once.begin(record, now=NOON)
    await once.finish(replace(record, fingerprint="another", leased_until=NOON, expires_at=NOON))
    assert await what_is_there(once, owner) == replace(record, done=True)
    await once.finish(record)
    assert await what_is_there(once, owner) == replace(record, done=True)


async def test_finishing_a_record_of_another_caller_changes_nothing(once: IdempotencyTable, owner: str) -> None:
    record, successor = make_record(owner), make_record(owner, leased_until=NOON + 2 * LEASE)
    await once.begin(record, now=NOON)
    await once.take_over(successor, seen=record)
    await once.finish(record)
    assert await what_is_there(once, owner) == successor


async def test_finishing_a_missing_record_creates_nothing(once: IdempotencyTable, owner: str) -> None:
    await once.finish(make_record(owner))
    assert await once.begin(make_record(owner), now=NOON) is None


async def test_next_caller_begins_after_an_abandoned_record(once: IdempotencyTable, owner: str) -> None:
    record, successor = make_record(owner), make_record(owner)
    await once.begin(record, now=NOON)
    await once.abandon(record)
    await once.abandon(record)
    assert await once.begin(successor, now=NOON) is None
    assert await what_is_there(once, owner) == successor


async def test_abandoning_a_record_of_another_caller_changes_nothing(once: IdempotencyTable, owner: str) -> None:
    record, successor = make_record(owner), make_record(owner, leased_until=NOON + 2 * LEASE)
    await once.begin(record, now=NOON)
    await once.take_over(successor, seen=record)
    await once.abandon(record)
    assert await what_is_there(once, owner) == successor


async def test_finished_record_cannot_be_abandoned(once: IdempotencyTable, owner: str) -> None:
    record = make_record(owner)
    await once.begin(record, now=NOON)
    await once.finish(record)
    await once.abandon(record)
    assert await what_is_there(once, owner) == replace(record, done=True)


async def test_sqlite_removes_expired_records(tmp_path: Path, owner: str) -> None:
    async with open_sqlite(tmp_path / "service.db") as database:
        once = SqliteIdempotencyTable(database)
        for n in range(20):
            await once.begin(make_record(f"{owner}-{n}", expires_at=NOON), now=NOON - LEASE)
        running = make_record(owner, expires_at=NOON + INSTANT)
        await once.begin(running, now=NOON - LEASE)
        await once.begin(make_record(owner, key="other"), now=NOON)
        assert await what_is_there(once, owner) == running
        assert len(await database.read("SELECT * FROM idempotency")) == 2


@pytest.fixture
async def table(aws: AwsEmulator) -> AsyncIterator[DynamoDBTable]:
    async with open_table(aws) as opened:
        yield opened


def lose_answer(table: DynamoDBTable, operation: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Execute the next such request, but return an error that leaves its outcome unknown; return the requests."""
    original = getattr(table._client, operation)
    requests: list[dict[str, Any]] = []

    async def process(**request: Any) -> dict[str, Any]:
        requests.append(request)
        answer: dict[str, Any] = await original(**request)
        if len(requests) == 1:
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "try again"}}, operation)
        return answer

    monkeypatch.setattr(table._client, operation, process)
    return requests


async def test_dynamodb_begin_recognizes_its_own_record_if_the_response_is_lost(
    table: DynamoDBTable, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, once = make_record(owner), DynamoDBIdempotencyTable(table)
    requests = lose_answer(table, "put_item", monkeypatch)
    assert await once.begin(record, now=NOON) is None
    assert len(requests) == 2
    assert await what_is_there(once, owner) == record


async def test_dynamodb_takeover_succeeds_if_the_response_is_lost(
    table: DynamoDBTable, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, successor, once = make_record(owner), make_record(owner), DynamoDBIdempotencyTable(table)
    await once.begin(record, now=NOON)
    requests = lose_answer(table, "put_item", monkeypatch)
    assert await once.take_over(successor, seen=record)
    assert len(requests) == 2
    assert await what_is_there(once, owner) == successor


async def test_dynamodb_finish_and_abandon_succeed_if_the_response_is_lost(
    table: DynamoDBTable, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, given_up, once = make_record(owner), make_record(owner, key="other"), DynamoDBIdempotencyTable(table)
    await once.begin(done, now=NOON)
    await once.begin(given_up, now=NOON)
    finishing = lose_answer(table, "update_item", monkeypatch)
    abandoning = lose_answer(table, "delete_item", monkeypatch)
    await once.finish(done)
    await once.abandon(given_up)
    assert [len(finishing), len(abandoning)] == [2, 2]
    assert await what_is_there(once, owner) == replace(done, done=True)
    assert await once.begin(make_record(owner, key="other"), now=NOON) is None


async def test_dynamodb_begins_if_the_conflicting_record_disappears(
    table: DynamoDBTable, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, successor, once = make_record(owner), make_record(owner), DynamoDBIdempotencyTable(table)
    await once.begin(record, now=NOON)
    read = table._client.get_item

    async def abandon_and_read(**request: Any) -> Any:
        await once.abandon(record)
        return await read(**request)

    monkeypatch.setattr(table._client, "get_item", abandon_and_read)
    assert await once.begin(successor, now=NOON) is None
    assert await what_is_there(once, owner) == successor


async def test_dynamodb_may_delete_an_expired_record(table: DynamoDBTable, owner: str) -> None:
    await DynamoDBIdempotencyTable(table).begin(make_record(owner), now=NOON)
    digest = hashlib.sha256(b"8e03978e-40d5").hexdigest()
    item = await table.find({"pk": f"USER#{owner}", "sk": f"ONCE#{digest}"})
    assert item
    assert item["expires_at"] == int((NOON + DAY).timestamp()) + 1


async def test_dynamodb_lists_no_record_among_the_images(table: DynamoDBTable, owner: str) -> None:
    image, images = make_image(owner), DynamoDBImageTable(table)
    await images.add(image, quota=Quota())
    await DynamoDBIdempotencyTable(table).begin(make_record(owner, key=f"IMAGE#{new_id()}"), now=NOON)
    assert await images.page(owner, before=None, limit=10) == [image]
    assert [each async for each in images.walk(owner)] == [image]
