"""Events reach a receiver that fails often, although the process that delivers them is killed again and again."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.common.webhook_events import WebhookEvents
from app.domain.events import EventType
from app.domain.ids import new_id
from app.domain.images import Quota
from app.ports.tables import ImageTable
from app.ports.webhook_tables import WebhookEndpointTable
from app.tables.dynamodb import DynamoDBImageTable, DynamoDBWebhookEndpointTable
from app.tables.sqlite import SqliteImageTable, SqliteWebhookEndpointTable, open_sqlite
from tests.acceptance.conftest import ROOT, environment_for, started
from tests.acceptance.worker_process import worker
from tests.aws_emulators import AwsEmulator
from tests.contracts.tables import make_image, open_table
from tests.webhook_receiver import WebhookReceiver, webhook_receiver

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

EVENTS = 1000
KILLED_AFTER = (150, 400, 700)
"""The numbers of delivered events after which the process is killed."""
FAILURE_RATE = 0.3
MAX_FAILURES = 3
"""More failures of one event would only make the test wait for its next attempt."""


class Failing:
    """Responds with 500 to 30 % of the requests."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self._random = random.Random(1)

    def __call__(self, event_id: str) -> int:
        if self.failures[event_id] < MAX_FAILURES and self._random.random() < FAILURE_RATE:
            self.failures[event_id] += 1
            return 500
        return 204


@asynccontextmanager
async def opened_tables(
    folder: Path, aws: AwsEmulator | None
) -> AsyncIterator[tuple[ImageTable, WebhookEndpointTable]]:
    if aws is None:
        async with open_sqlite(folder / "service.db") as database:
            yield SqliteImageTable(database), SqliteWebhookEndpointTable(database)
    else:
        async with open_table(aws) as table:
            yield DynamoDBImageTable(table), DynamoDBWebhookEndpointTable(table)


async def add_images(folder: Path, aws: AwsEmulator | None) -> set[str]:
    """Write records of images of many owners, each with an event, and return the ids of the events."""
    async with opened_tables(folder, aws) as (images, endpoints):
        events, slots = WebhookEvents(endpoints, clock=lambda: datetime.now(UTC)), asyncio.Semaphore(20)
        ids: set[str] = set()

        async def add() -> None:
            async with slots:
                image = make_image(new_id())
                [event] = await events.of_image(image, EventType.IMAGE_CREATED)
                await images.add(image, quota=Quota(), events=[event])
                ids.add(event.id)

        await asyncio.gather(*(add() for _ in range(EVENTS)))
        return ids


def register(environment: dict[str, str], receiver: WebhookReceiver) -> None:
    command = [sys.executable, "-m", "app", "webhooks", "create", receiver.url, "--event", "image.created"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, timeout=300, check=True
    )
    receiver.secrets.append(done.stdout.split()[1])


@contextmanager
def delivering(environment: dict[str, str], number: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that delivers events: the service with a local queue, or a worker."""
    if "BACKEND" in environment:
        with worker(environment, name=f"worker-{number}") as working:
            yield working.process
    else:
        with started(environment) as running:
            yield running.process


def wait_for_deliveries(receiver: WebhookReceiver, count: int) -> None:
    while len({received.id for received in receiver.delivered()}) < count:
        time.sleep(0.05)


@pytest.mark.parametrize("backend", ["embedded", "aws"])
def test_every_event_is_delivered(request: pytest.FixtureRequest, tmp_path: Path, backend: str):
    folder = tmp_path / "data"
    aws: AwsEmulator | None = request.getfixturevalue("aws") if backend == "aws" else None
    more = {"SQS_QUEUE_NAME": aws.make_queue()} if aws else {}
    environment = environment_for(folder, aws, WEBHOOK_ALLOW_PRIVATE="true", RENDER_PROCESSES="1", **more)
    with webhook_receiver() as receiver:
        receiver.status_of = Failing()
        register(environment, receiver)
        ids = asyncio.run(add_images(folder, aws))
        for number, delivered in enumerate((*KILLED_AFTER, EVENTS)):
            with delivering(environment, number) as process:
                wait_for_deliveries(receiver, delivered)
                process.send_signal(signal.SIGKILL if delivered < EVENTS else signal.SIGTERM)
                process.wait(300)
        assert {received.id for received in receiver.delivered()} == ids
        assert all(received.verified_by for received in receiver.received)
        failed = sum(received.status == 500 for received in receiver.received)
        assert 0.2 < failed / len(receiver.received) < 0.4
        # Shown by `pytest -rA`.
        print(f"{len(ids)} events, {len(receiver.received)} requests, {failed} failed")  # noqa: T201
