"""The worker function fails and is throttled: nothing is lost, and jobs that fail for good become dead letters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from tests.acceptance.test_worker import CUT_SHORT
from tests.fault_proxy import FaultProxy
from tests.pictures import jpeg
from tests.serverless.conftest import SECONDS, Stack, changed, eventually
from tests.serverless.test_journey import initiate, post_form, upload

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * SECONDS)]


def ready(client: httpx.Client, image_id: str) -> bool:
    image = client.get(f"/images/{image_id}").json()
    return {thumbnail["status"] for thumbnail in image["thumbnails"]} == {"ready"}


@contextmanager
def throttled(stack: Stack) -> Iterator[None]:
    functions, name = stack.client("lambda"), stack.outputs["WorkerFunction"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    yield
    functions.delete_function_concurrency(FunctionName=name)


@contextmanager
def failing(stack: Stack) -> Iterator[None]:
    """Give the worker a bucket that does not exist, so that its environments do not start."""
    with changed(stack, "WorkerFunction", S3_BUCKET="no-such-bucket"):
        yield


@pytest.mark.parametrize("fault", [throttled, failing])
def test_nothing_is_lost_while_the_worker_cannot_run(stack: Stack, fault: Any):
    photo = jpeg(800, 600)
    with stack.person() as client:
        with fault(stack):
            accepted = upload(client, photo, Prefer="respond-async").json()["id"]
            opened = initiate(client, photo)
            post_form(opened, photo)
            # The functions may be slow, but this request shows that nothing was done.
            assert not ready(client, accepted)
            assert client.get(f"/images/uploads/{opened['upload_id']}").json()["status"] == "pending"
        eventually(lambda: ready(client, accepted))
        eventually(lambda: client.get(f"/images/uploads/{opened['upload_id']}").json()["status"] == "completed")


def test_nothing_is_lost_in_an_outage_of_all_dependencies(stack: Stack):
    with FaultProxy(stack.url, seed=1).listening() as proxy, ExitStack() as contexts:
        for function in ("ApiFunction", "WorkerFunction"):
            contexts.enter_context(changed(stack, function, LOCALSTACK_ENDPOINT_URL=proxy.url))
        client = contexts.enter_context(stack.person())
        accepted = upload(client, jpeg(800, 600), Prefer="respond-async").json()["id"]
        proxy.shares = {"store": 1, "table": 1, "queue": 1}
        for response in (client.get("/images"), upload(client, jpeg(400, 300))):
            assert (response.status_code, response.json()["code"]) == (503, "dependency_unavailable")
        proxy.shares = {}
        assert sum(proxy.failed.values()) > 1
        assert [item["id"] for item in client.get("/images").json()["items"]] == [accepted]
        assert upload(client, jpeg(400, 300)).status_code == 201
        eventually(lambda: ready(client, accepted))


def test_only_the_messages_that_failed_are_delivered_again(stack: Stack):
    arrived = {"source": "aws.s3", "detail": {"object": {"key": "incoming/nobody/nothing"}}}
    bodies = {"unreadable": "{}", "no-json": "<", "handled": json.dumps(arrived)}
    records = [{"messageId": name, "receiptHandle": name, "body": body} for name, body in bodies.items()]
    assert stack.invoke_worker({"Records": records}) == {
        "batchItemFailures": [{"itemIdentifier": "unreadable"}, {"itemIdentifier": "no-json"}]
    }


def test_the_message_of_a_job_that_failed_for_good_becomes_a_dead_letter(stack: Stack):
    sqs, dead = stack.client("sqs"), stack.outputs["DeadLetterQueueUrl"]

    def receive() -> list[str]:
        found = sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        return [json.loads(message["Body"]).get("owner_id") for message in found]

    with stack.person() as client:
        owner = client.get("/auth/me").json()["id"]
        image = upload(client, CUT_SHORT, Prefer="respond-async").json()["id"]
        eventually(lambda: owner in receive())
        thumbnails = client.get(f"/images/{image}").json()["thumbnails"]
        assert {thumbnail["status"] for thumbnail in thumbnails} == {"failed"}
