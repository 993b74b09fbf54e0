"""Cases that only DynamoDB has: lost responses, conflicts, throttling, and a missing table."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from app.domain.errors import DependencyUnavailable, QuotaExceeded
from app.domain.ids import new_id
from app.domain.images import Quota, Usage
from app.domain.jobs import JobStatus
from app.tables.dynamodb import (
    DynamoDBAccountTable,
    DynamoDBAuditTable,
    DynamoDBCounterTable,
    DynamoDBImageTable,
    DynamoDBJobTable,
    DynamoDBTable,
    table,
)
from app.tables.dynamodb.keys import AUDIT_SHARDS, first_id_of_day, job_key
from tests.aws_emulators import AwsEmulator, free_port
from tests.contracts.tables import NOON, READY, make_account, make_image, make_job, make_session, open_table

ERROR = "com.amazonaws.dynamodb.v20120810#"
CONFLICT = {
    "__type": f"{ERROR}TransactionCanceledException",
    "Message": "Transaction cancelled [None, TransactionConflict]",
    "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "Transaction is ongoing"}],
}
THROTTLED = CONFLICT | {"CancellationReasons": [{"Code": "None"}, {"Code": "ThrottlingError"}]}
IN_PROGRESS = {"__type": f"{ERROR}TransactionInProgressException", "Message": "already in progress"}
SINGLE_CONFLICT = {"__type": f"{ERROR}TransactionConflictException", "message": "Transaction is ongoing"}


@dataclass
class Road:
    """Intercepts requests to the emulator; its fields define what happens to the next ones."""

    refuse: list[dict[str, Any]] = field(default_factory=list)
    """The errors with which the next requests are answered, without calling the emulator."""
    lose: set[str] = field(default_factory=set)
    """The operations whose next request is executed, but whose response is lost."""
    before: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """Functions that are called just before the next request of an operation."""
    garble: bool = False
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
async def road(aws: AwsEmulator) -> AsyncIterator[Road]:
    road = Road()
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            road.bodies.append(json.loads(body))
            operation = request.headers["X-Amz-Target"].removeprefix("DynamoDB_20120810.")
            if operation in road.before:
                await road.before.pop(operation)()
            if road.garble:
                return web.Response(text="<html>Please sign in to the network</html>")
            if road.refuse:
                return web.json_response(road.refuse.pop(0), status=400, content_type="application/x-amz-json-1.0")
            async with session.post(aws.url, data=body, headers=request.headers) as answer:
                content = await answer.read()
            if operation in road.lose and request.transport:
                road.lose.remove(operation)
                request.transport.abort()
            kept = {
                name: value for name, value in answer.headers.items() if name.lower().startswith(("x-amz", "content-t"))
            }
            return web.Response(body=content, status=answer.status, headers=kept)

        app = web.Application()
        app.router.add_post("/", forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        road.url = f"http://127.0.0.1:{port}"
        yield road
        await runner.cleanup()


@pytest.fixture
async def opened(aws: AwsEmulator, road: Road) -> AsyncIterator[DynamoDBTable]:
    async with open_table(aws, url=road.url) as opened:
        yield opened


@pytest.fixture
def images(opened: DynamoDBTable) -> DynamoDBImageTable:
    return DynamoDBImageTable(opened)


@pytest.fixture
def accounts(opened: DynamoDBTable) -> DynamoDBAccountTable:
    return DynamoDBAccountTable(opened)


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


async def test_image_is_added_once_if_the_response_is_lost(images: DynamoDBImageTable, road: Road, owner: str) -> None:
    image = make_image(owner)
    road.lose.add("TransactWriteItems")
    await images.add(image, quota=Quota(images=1))
    assert not road.lose
    assert await images.usage(owner) == Usage(1, image.size)
    with pytest.raises(QuotaExceeded):
        await images.add(make_image(owner), quota=Quota(images=1))


async def test_removal_returns_the_image_if_the_response_is_lost(
    images: DynamoDBImageTable, road: Road, owner: str, aws: AwsEmulator
) -> None:
    if aws.name == "moto":
        pytest.skip("moto ignores the ClientRequestToken of transactions")
    image = make_image(owner)
    await images.add(image, quota=Quota())
    road.lose.add("TransactWriteItems")
    assert await images.remove(owner, image.id) == image
    assert not road.lose
    assert await images.usage(owner) == Usage(0, 0)


async def test_rotation_succeeds_if_the_response_is_lost(accounts: DynamoDBAccountTable, road: Road) -> None:
    session = make_session(new_id(), expires_at=NOON + timedelta(days=1))
    await accounts.add_session(session)
    road.lose.add("UpdateItem")
    assert await accounts.rotate_session(
        session.account_id, session.id, old_hash="old", new_hash="new", expires_at=session.expires_at, now=NOON
    )
    assert not road.lose


async def test_account_is_added_if_the_response_is_lost(
    accounts: DynamoDBAccountTable, road: Road, aws: AwsEmulator
) -> None:
    if aws.name == "moto":
        pytest.skip("moto ignores the ClientRequestToken of transactions")
    account = make_account(f"{new_id()}@example.com")
    road.lose.add("TransactWriteItems")
    await accounts.add_account(account, session=make_session(account.id))
    assert not road.lose
    assert await accounts.find_account_by_email(account.email) == account


@pytest.mark.parametrize("refusal", [CONFLICT, THROTTLED], ids=["conflict", "throttled"])
async def test_conflicting_transaction_is_restarted(
    images: DynamoDBImageTable, road: Road, owner: str, refusal: dict[str, Any]
) -> None:
    road.refuse = [refusal] * 3
    await images.add(make_image(owner), quota=Quota(images=1))
    assert len({body["ClientRequestToken"] for body in road.bodies}) == 4


async def test_transaction_in_progress_is_retried(images: DynamoDBImageTable, road: Road, owner: str) -> None:
    road.refuse = [IN_PROGRESS] * 3
    await images.add(make_image(owner), quota=Quota(images=1))
    assert len(road.bodies) == 4
    assert len({body["ClientRequestToken"] for body in road.bodies}) == 1


async def test_single_write_that_conflicts_with_a_transaction_is_retried(
    images: DynamoDBImageTable, road: Road, owner: str
) -> None:
    image = make_image(owner)
    await images.add(image, quota=Quota())
    road.refuse = [SINGLE_CONFLICT] * 4
    assert (await images.edit(owner, image.id, changes={"filename": "x.jpg", "description": None})).filename == "x.jpg"


async def test_endless_conflicts_raise_dependency_unavailable(
    images: DynamoDBImageTable, road: Road, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_CALL_SECONDS", 0.5)
    road.refuse = [CONFLICT] * 10_000
    with pytest.raises(DependencyUnavailable):
        await images.add(make_image(owner), quota=Quota(images=1))


async def test_response_of_another_server_raises_dependency_unavailable(
    images: DynamoDBImageTable, road: Road, owner: str
) -> None:
    road.garble = True
    with pytest.raises(DependencyUnavailable):
        await images.get(owner, new_id())
    with pytest.raises(DependencyUnavailable):
        await images.page(owner, before=None, limit=10)
    with pytest.raises(DependencyUnavailable):
        await images.check()


async def test_thumbnails_made_between_reading_and_removing_are_returned(
    images: DynamoDBImageTable, road: Road, owner: str
) -> None:
    image = make_image(owner, thumbnails=())
    rendered = replace(image, thumbnails=(READY,))
    await images.add(image, quota=Quota())
    road.before["TransactWriteItems"] = lambda: images.update_thumbnails(rendered)
    assert await images.remove(owner, image.id) == rendered
    assert await images.usage(owner) == Usage(0, 0)


async def test_items_that_a_throttled_table_did_not_process_are_sent_again(
    images: DynamoDBImageTable, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    added = [make_image(owner) for _ in range(5)]  # with two items each
    for image in added:
        await images.add(image, quota=Quota())
    client, sizes = images._table._client, list[int]()
    write = client.batch_write_item

    async def process_one_of_them(*, RequestItems: dict[str, list[Any]]) -> Any:  # noqa: N803 - the name in the API
        ((table, requests),) = RequestItems.items()
        sizes.append(len(requests))
        if len(requests) < 9:
            return await write(RequestItems=RequestItems)
        response = await write(RequestItems={table: requests[:1]})
        return {**response, "UnprocessedItems": {table: requests[1:]}}

    monkeypatch.setattr(client, "batch_write_item", process_one_of_them)
    await images.discard(added)
    assert sizes == [10, 9, 8]
    assert [image async for image in images.walk(owner)] == []


async def test_a_page_is_one_query_however_many_images_there_are(
    images: DynamoDBImageTable, road: Road, owner: str
) -> None:
    added = [make_image(owner) for _ in range(60)]
    for image in added:
        await images.add(image, quota=Quota())
    road.bodies.clear()
    assert len(await images.page(owner, before=added[-1].id, limit=50)) == 50
    assert [body["Limit"] for body in road.bodies] == [50]


@pytest.mark.parametrize("method", ["add", "page"])
async def test_unreachable_table_raises_dependency_unavailable_in_bounded_time(
    aws: AwsEmulator, owner: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_CALL_SECONDS", 1)
    async with open_table(aws, url=f"http://127.0.0.1:{free_port()}") as opened, asyncio.timeout(300):
        images = DynamoDBImageTable(opened)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "add": lambda: images.add(make_image(owner), quota=Quota()),
            "page": lambda: images.page(owner, before=None, limit=10),
        }
        with pytest.raises(DependencyUnavailable):
            await calls[method]()


async def test_table_that_never_responds_raises_dependency_unavailable_in_bounded_time(
    aws: AwsEmulator, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_CALL_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with open_table(aws, url=url) as opened, asyncio.timeout(300):
            with pytest.raises(DependencyUnavailable):
                await DynamoDBImageTable(opened).get(owner, new_id())


async def test_check_of_a_missing_table_names_the_command_to_run(aws: AwsEmulator) -> None:
    async with open_table(aws, name="nowhere") as opened:
        with pytest.raises(RuntimeError, match=r"'nowhere'.*setup_localstack\.sh.*infra/template\.yaml"):
            await DynamoDBImageTable(opened).check()


async def test_sessions_and_attempts_expire_by_the_attribute_of_the_table(
    accounts: DynamoDBAccountTable, road: Road
) -> None:
    await accounts.add_session(make_session(new_id(), expires_at=NOON))
    await DynamoDBCounterTable(accounts._table).increment(new_id(), now=NOON - timedelta(seconds=60), window_seconds=60)
    next_whole_second = {"N": str(int(NOON.timestamp()) + 1)}
    put, _, opening = road.bodies
    assert put["Item"]["expires_at"] == next_whole_second
    assert opening["ExpressionAttributeValues"][":expires_at"] == next_whole_second


async def test_a_renamed_job_kind_keeps_its_stored_spelling(opened: DynamoDBTable, owner: str) -> None:
    """Workers of an earlier version read and write the same jobs during a deployment."""
    jobs = DynamoDBJobTable(opened)
    job = make_job(owner, kind="delete_account")
    await jobs.add_job(job)
    stored = await opened.find(job_key(owner, job.id))
    assert stored is not None
    assert stored["kind"] == "leave"
    assert await jobs.find_job(owner, job.id) == job


async def test_a_page_of_jobs_with_a_status_is_one_query_however_many_jobs_there_are(
    opened: DynamoDBTable, road: Road, owner: str
) -> None:
    jobs = DynamoDBJobTable(opened)
    for start in range(0, 300, 50):
        added = (make_job(owner, status=JobStatus.COMPLETED, due_at=None) for _ in range(start, start + 50))
        await asyncio.gather(*map(jobs.add_job, added))
    road.bodies.clear()
    page, last_id = await jobs.page_jobs(owner, before=None, limit=50, status=JobStatus.FAILED)
    assert (page, [body["Limit"] for body in road.bodies]) == ([], [250])
    assert last_id is not None


async def test_a_page_of_the_audit_log_reads_a_bounded_number_of_days(opened: DynamoDBTable, road: Road) -> None:
    audit = DynamoDBAuditTable(opened, clock=lambda: NOON)
    entries, last_id = await audit.page_entries(before=first_id_of_day(NOON.date()), limit=50)
    assert (entries, len(road.bodies)) == ([], 7 * len(AUDIT_SHARDS))
    assert last_id is not None
