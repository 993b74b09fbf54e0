"""The contract of every JobQueue: see app.ports."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botocore.session import Session
from structlog.testing import CapturingLogger

from app.container.aws import open_aws_client
from app.domain.errors import DependencyUnavailable
from app.domain.ids import new_id
from app.domain.jobs import JobMessage
from app.ports.queue import JobQueue
from app.queues import local as local_queue
from app.queues import sqs
from app.queues.local import LocalJobQueue
from app.queues.sqs import SqsJobQueue, make_config, open_sqs
from tests.aws_emulators import AwsEmulator, free_port

pytestmark = pytest.mark.worker_only


@pytest.fixture
def client(aws: AwsEmulator) -> Any:
    return Session().create_client("sqs", region_name=aws.region, endpoint_url=aws.url)


@pytest.fixture
def pair(client: Any) -> Iterator[tuple[str, str, str]]:
    """Create a queue and its dead-letter queue, as in the template; return the name and both URLs."""
    name = f"jobs-{new_id()}"
    dead = client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    url = client.create_queue(QueueName=name, Attributes={"RedrivePolicy": redrive})["QueueUrl"]
    yield name, url, dead
    client.delete_queue(QueueUrl=url)
    client.delete_queue(QueueUrl=dead)


@asynccontextmanager
async def open_queue(aws: AwsEmulator, name: str, *, url: str | None = None) -> AsyncIterator[SqsJobQueue]:
    async with (
        open_aws_client(aws.service("sqs", url=url), make_config(wait_seconds=1)) as opened,
        open_sqs(opened.client, name, wait_seconds=1) as queue,
    ):
        yield queue


@pytest.fixture
async def sqs_queue(aws: AwsEmulator, pair: tuple[str, str, str]) -> AsyncIterator[SqsJobQueue]:
    async with open_queue(aws, pair[0]) as queue:
        yield queue


@pytest.fixture(params=["local", "sqs"])
async def queue(request: pytest.FixtureRequest) -> AsyncIterator[JobQueue]:
    if request.param == "local":
        yield LocalJobQueue(wait_seconds=1)
    else:
        async with open_queue(request.getfixturevalue("aws"), request.getfixturevalue("pair")[0]) as queue:
            yield queue


async def receive(queue: JobQueue, *, number: int = 1, visibility_timeout_seconds: int = 60) -> list[JobMessage]:
    """Receive until `number` messages have arrived."""
    received: list[JobMessage] = []
    async with asyncio.timeout(300):
        while len(received) < number:
            received += await queue.receive(limit=10, visibility_timeout_seconds=visibility_timeout_seconds)
    return received


def jobs_of(messages: Sequence[JobMessage]) -> list[tuple[str, str]]:
    return sorted((message.owner_id, message.job_id) for message in messages)


async def test_sent_message_is_received_unchanged(queue: JobQueue) -> None:
    await queue.send("ada", "job-1")
    assert jobs_of(await receive(queue)) == [("ada", "job-1")]


async def test_trace_context_is_delivered_with_the_message(queue: JobQueue) -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await queue.send("ada", "job-1", traceparent=traceparent)
    await queue.send("ada", "job-2")
    received = {message.job_id: message.traceparent for message in await receive(queue, number=2)}
    assert received == {"job-1": traceparent, "job-2": None}


async def test_receiving_without_messages_returns_none(queue: JobQueue) -> None:
    assert list(await queue.receive(limit=1, visibility_timeout_seconds=60)) == []


async def test_at_most_the_limit_is_received_and_each_message_once(queue: JobQueue) -> None:
    sent = sorted(("ada", f"job-{n}") for n in range(14))
    for owner_id, job_id in sent:
        await queue.send(owner_id, job_id)
    received: list[JobMessage] = []
    for limit in (1, 3, 10):
        messages = await queue.receive(limit=limit, visibility_timeout_seconds=60)
        assert 1 <= len(messages) <= limit
        received += messages
    received += await receive(queue, number=14 - len(received)) if len(received) < 14 else []
    assert jobs_of(received) == sent
    assert list(await queue.receive(limit=10, visibility_timeout_seconds=60)) == []


async def test_waiting_receiver_gets_a_new_message(queue: JobQueue) -> None:
    waiting = asyncio.create_task(receive(queue))
    await asyncio.sleep(0.1)
    await queue.send("ada", "job-1")
    assert jobs_of(await waiting) == [("ada", "job-1")]


async def test_each_message_goes_to_one_of_many_waiting_receivers(queue: JobQueue) -> None:
    waiting = [asyncio.create_task(queue.receive(limit=1, visibility_timeout_seconds=60)) for _ in range(6)]
    for n in range(3):
        await queue.send("ada", f"job-{n}")
    received = [message for messages in await asyncio.gather(*waiting) for message in messages]
    received += await receive(queue, number=3 - len(received)) if len(received) < 3 else []
    assert jobs_of(received) == [("ada", f"job-{n}") for n in range(3)]


async def test_unacknowledged_message_is_delivered_again_after_its_visibility_timeout(queue: JobQueue) -> None:
    await queue.send("ada", "job-1")
    [first] = await receive(queue, visibility_timeout_seconds=1)
    [again] = await receive(queue, visibility_timeout_seconds=60)
    assert (again.owner_id, again.job_id) == ("ada", "job-1")
    assert again.receipt != first.receipt
    assert list(await queue.receive(limit=1, visibility_timeout_seconds=60)) == []


async def test_longer_visibility_timeout_delays_the_next_delivery(queue: JobQueue) -> None:
    await queue.send("ada", "job-1")
    [message] = await receive(queue, visibility_timeout_seconds=1)
    await queue.change_visibility(message, timeout_seconds=60)
    await asyncio.sleep(1.1)
    assert list(await queue.receive(limit=1, visibility_timeout_seconds=60)) == []
    await queue.change_visibility(message, timeout_seconds=0)
    assert jobs_of(await receive(queue)) == [("ada", "job-1")]


async def test_acknowledged_message_is_not_delivered_again(queue: JobQueue) -> None:
    await queue.send("ada", "job-1")
    [message] = await receive(queue, visibility_timeout_seconds=1)
    await queue.acknowledge(message)
    await asyncio.sleep(1.1)
    assert list(await queue.receive(limit=1, visibility_timeout_seconds=60)) == []


async def test_expired_receipt_is_not_an_error(queue: JobQueue) -> None:
    await queue.send("ada", "job-1")
    [first] = await receive(queue, visibility_timeout_seconds=0)
    [message] = await receive(queue)
    await queue.acknowledge(message)
    for stale in (message, first, JobMessage("ada", "job-1", "never given")):
        await queue.change_visibility(stale, timeout_seconds=5)
        await queue.acknowledge(stale)


async def test_delayed_message_is_delivered_after_its_delay(queue: JobQueue) -> None:
    await queue.send("ada", "job-1", delay_seconds=2)
    assert list(await queue.receive(limit=1, visibility_timeout_seconds=60)) == []
    assert jobs_of(await receive(queue)) == [("ada", "job-1")]
    assert await queue.depth() == 0


async def test_message_is_not_delivered_after_five_failed_receives(queue: JobQueue) -> None:
    await queue.send("ada", "job-1")
    for _ in range(5):
        [message] = await receive(queue)
        await queue.change_visibility(message, timeout_seconds=0)
    assert list(await queue.receive(limit=1, visibility_timeout_seconds=60)) == []
    assert await queue.depth() == 0


async def test_depth_counts_visible_messages(queue: JobQueue) -> None:
    assert await queue.depth() == 0
    for n in range(3):
        await queue.send("ada", f"job-{n}")
    await queue.send("ada", "job-3", delay_seconds=60)
    assert await queue.depth() == 3
    [message] = await queue.receive(limit=1, visibility_timeout_seconds=60)
    assert await queue.depth() == 2
    await queue.change_visibility(message, timeout_seconds=0)
    assert await queue.depth() == 3


async def test_canceled_receive_loses_no_message(queue: JobQueue) -> None:
    waiting = asyncio.create_task(queue.receive(limit=1, visibility_timeout_seconds=60))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await queue.send("ada", "job-1")
    assert jobs_of(await receive(queue)) == [("ada", "job-1")]


async def test_check_passes_for_an_existing_queue(queue: JobQueue) -> None:
    await queue.check()


async def test_local_queue_holds_a_job_once() -> None:
    queue = LocalJobQueue(wait_seconds=0)
    for _ in range(3):
        await queue.send("ada", "job-1")
        await queue.send("bob", "job-1")
    [ada] = await queue.receive(limit=1, visibility_timeout_seconds=60)
    # The worker that has the message may be about to finish: this is a new message.
    await queue.send("ada", "job-1")
    assert jobs_of(await queue.receive(limit=10, visibility_timeout_seconds=60)) == [("ada", "job-1"), ("bob", "job-1")]
    # The released message does not replace the new one.
    await queue.send("ada", "job-1")
    await queue.change_visibility(ada, timeout_seconds=0)
    assert len(await queue.receive(limit=10, visibility_timeout_seconds=60)) == 1


async def test_local_queue_is_first_in_first_out() -> None:
    queue = LocalJobQueue(wait_seconds=0)
    for n in (3, 1, 2):
        await queue.send("ada", f"job-{n}")
    received = await queue.receive(limit=10, visibility_timeout_seconds=60)
    assert [message.job_id for message in received] == ["job-3", "job-1", "job-2"]


async def test_full_local_queue_rejects_new_jobs_until_one_is_acknowledged() -> None:
    queue = LocalJobQueue(wait_seconds=0, max_messages=3)
    await queue.send("ada", "job-1")
    [message] = await queue.receive(limit=1, visibility_timeout_seconds=60)
    await queue.send("ada", "job-2", delay_seconds=60)
    await queue.send("ada", "job-3")
    await queue.send("ada", "job-3")
    with pytest.raises(DependencyUnavailable):
        await queue.send("ada", "job-4")
    await queue.acknowledge(message)
    await queue.send("ada", "job-4")


async def test_local_queue_logs_a_dropped_message(monkeypatch: pytest.MonkeyPatch) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(local_queue, "_log", log)
    queue = LocalJobQueue(wait_seconds=0)
    await queue.send("ada", "job-1")
    for _ in range(5):
        [message] = await queue.receive(limit=1, visibility_timeout_seconds=60)
        await queue.change_visibility(message, timeout_seconds=0)
    assert list(await queue.receive(limit=1, visibility_timeout_seconds=60)) == []
    [(method, [event], fields)] = log.calls
    assert (method, event) == ("error", "job.dropped")
    assert fields == {"user_id": "ada", "job_id": "job-1", "received": 5}


async def test_sqs_moves_a_message_received_five_times_to_the_dead_letter_queue(
    sqs_queue: SqsJobQueue, pair: tuple[str, str, str], client: Any
) -> None:
    await sqs_queue.send("ada", "job-1")
    for _ in range(5):
        [message] = await receive(sqs_queue)
        await sqs_queue.change_visibility(message, timeout_seconds=0)
    assert list(await sqs_queue.receive(limit=1, visibility_timeout_seconds=60)) == []
    [dead] = client.receive_message(QueueUrl=pair[2], WaitTimeSeconds=1)["Messages"]
    assert json.loads(dead["Body"]) == {"owner_id": "ada", "job_id": "job-1"}


@pytest.mark.parametrize("body", ["poison", "[]", '{"owner_id": "ada"}', '{"owner_id": "ada", "job_id": 1}'])
async def test_sqs_skips_unknown_messages_and_keeps_them(
    sqs_queue: SqsJobQueue, pair: tuple[str, str, str], client: Any, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(sqs, "_log", log)
    client.send_message(QueueUrl=pair[1], MessageBody=body)
    assert list(await sqs_queue.receive(limit=1, visibility_timeout_seconds=0)) == []
    [(_, [event], fields)] = log.calls
    assert event == "job.message_unreadable"
    assert body not in fields.values()
    [left] = client.receive_message(QueueUrl=pair[1], WaitTimeSeconds=1)["Messages"]
    assert left["Body"] == body


async def test_sqs_receive_waits_only_as_long_as_needed(
    sqs_queue: SqsJobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sqs_queue.send("ada", "job-0")
    [message] = await receive(sqs_queue)
    requests: list[dict[str, Any]] = []

    async def answer(**request: Any) -> dict[str, Any]:
        requests.append(request)
        return {"ResponseMetadata": {"RequestId": "1"}}

    for operation in ("send_message", "receive_message", "change_message_visibility"):
        monkeypatch.setattr(sqs_queue._client, operation, answer)
    await sqs_queue.send("ada", "job-1", delay_seconds=5000)
    await sqs_queue.receive(limit=1, visibility_timeout_seconds=100_000)
    await sqs_queue.change_visibility(message, timeout_seconds=100_000)
    assert [requests[0]["DelaySeconds"], *(request["VisibilityTimeout"] for request in requests[1:])] == [
        900,
        43_200,
        43_200,
    ]


async def test_sqs_receive_may_wait_while_the_queue_is_empty(
    sqs_queue: SqsJobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs, "_CALL_SECONDS", 0.5)
    assert list(await sqs_queue.receive(limit=1, visibility_timeout_seconds=60)) == []


async def test_opening_a_missing_queue_names_the_command_to_run(aws: AwsEmulator) -> None:
    with pytest.raises(RuntimeError, match=r"'nowhere'.*setup_localstack\.sh.*infra/template\.yaml"):
        async with open_queue(aws, "nowhere"):
            pass


async def test_check_of_a_deleted_queue_names_the_command_to_run(aws: AwsEmulator, client: Any) -> None:
    name = f"jobs-{new_id()}"
    url = client.create_queue(QueueName=name)["QueueUrl"]
    async with open_queue(aws, name) as queue:
        client.delete_queue(QueueUrl=url)
        with pytest.raises(RuntimeError, match=rf"'{name}'.*setup_localstack\.sh"):
            await queue.check()
        with pytest.raises(DependencyUnavailable):
            await queue.send("ada", "job-1")


async def test_unreachable_queue_raises_dependency_unavailable_in_bounded_time(aws: AwsEmulator) -> None:
    async with asyncio.timeout(300):
        with pytest.raises(DependencyUnavailable) as raised:
            async with open_queue(aws, "images", url=f"http://127.0.0.1:{free_port()}"):
                pass
    assert raised.value.dependency == "queue"


async def test_queue_that_never_responds_raises_dependency_unavailable_in_bounded_time(
    aws: AwsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs, "_CALL_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with asyncio.timeout(300):
            with pytest.raises(DependencyUnavailable):
                async with open_queue(aws, "images", url=f"http://127.0.0.1:{silent.getsockname()[1]}"):
                    pass
