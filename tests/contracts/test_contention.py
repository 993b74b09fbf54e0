"""Two processes whose clocks differ by ten minutes do the same work concurrently: there must be one result."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.common import idempotency
from app.common.idempotency import Idempotency
from app.domain.claims import RequestClaim
from app.domain.errors import ImageMissing, RequestInProgress
from app.domain.ids import new_id
from app.domain.images import Image, Quota
from app.domain.jobs import Job, JobError, JobMessage, JobStatus
from app.jobs.attempt import Attempt
from app.jobs.registry import JobRegistry, JobResult, JobSpec
from app.jobs.runner import JobRunner
from app.observability.metrics import PrometheusMetrics
from app.ports.clock import Clock
from app.ports.tables import IdempotencyTable, ImageTable, JobTable
from app.queues.local import LocalJobQueue
from app.tables.dynamodb import DynamoDBIdempotencyTable, DynamoDBImageTable, DynamoDBJobTable
from app.tables.sqlite import SqliteIdempotencyTable, SqliteImageTable, SqliteJobTable, open_sqlite
from tests.aws_emulators import skip_where_transactions_are_slow
from tests.contracts.tables import make_image, open_table
from tests.no_events import NO_EVENTS

ROUNDS = 200
SKEWS = (timedelta(minutes=10), -timedelta(minutes=10))


@dataclass(frozen=True)
class Tables:
    images: ImageTable
    jobs: JobTable
    idempotency: IdempotencyTable

    async def images_of(self, owner: str) -> list[Image]:
        return [image async for image in self.images.walk(owner)]


@pytest.fixture(params=["sqlite", "dynamodb"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield Tables(
                SqliteImageTable(database),
                SqliteJobTable(database, clock=lambda: datetime.now(UTC)),
                SqliteIdempotencyTable(database),
            )
    else:
        aws = request.getfixturevalue("aws")
        skip_where_transactions_are_slow(aws)
        async with open_table(aws) as table:
            yield Tables(DynamoDBImageTable(table), DynamoDBJobTable(table), DynamoDBIdempotencyTable(table))


def skewed(skew: timedelta) -> Clock:
    return lambda: datetime.now(UTC) + skew


class Fetching:
    """Creates one image for a job slowly, as ProductImages does."""

    def __init__(self, images: ImageTable) -> None:
        self._images = images
        self.made = 0

    async def run(self, attempt: Attempt) -> None:
        job = attempt.job
        if job.image_id:
            try:
                await self._images.get(job.owner_id, job.image_id)
            except ImageMissing:
                pass
            else:
                return
        await attempt.report(image_id=new_id())
        await asyncio.sleep(random.uniform(0, 0.02))
        image = make_image(job.owner_id, id=attempt.job.image_id)
        await self._images.add(image, quota=Quota(), claim=attempt.job.job_claim)
        self.made += 1

    async def give_up(self, job: Job, error: JobError) -> None:
        raise AssertionError(error)


async def no_result(_job: Job) -> JobResult:
    return JobResult()


async def test_two_workers_with_wrong_clocks_create_one_image_per_job(tables: Tables):
    handling, queue = Fetching(tables.images), LocalJobQueue(wait_seconds=0)
    workers = [
        JobRunner(
            table=tables.jobs,
            queue=queue,
            registry=JobRegistry([JobSpec("fetch", "Fetching", handling, no_result)]),
            events=NO_EVENTS,
            metrics=PrometheusMetrics(),
            clock=skewed(skew),
        )
        for skew in SKEWS
    ]
    contended = 0
    for _ in range(ROUNDS):
        owner = f"owner-{new_id()}"
        # The job is due for both: for the process whose clock is fast, each lease of the other has expired.
        due = datetime.now(UTC) - timedelta(hours=1)
        job = Job(new_id(), owner, "fetch", due, due, due)
        await tables.jobs.add_job(job)
        late, early = (JobMessage(owner, job.id, receipt=str(n)) for n in range(2))
        begun = asyncio.create_task(workers[1].process(late))
        await asyncio.sleep(random.uniform(0, 0.015))
        await asyncio.gather(begun, workers[0].process(early))
        done = await tables.jobs.find_job(owner, job.id)
        assert done
        assert done.status is JobStatus.COMPLETED
        assert [image.id for image in await tables.images_of(owner)] == [done.image_id]
        contended += done.attempts > 1
    assert handling.made == ROUNDS
    assert contended > ROUNDS / 10


async def test_two_processes_with_wrong_clocks_create_one_image_per_key(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    # The lease is so short that its holder often loses it, as if its process had stalled.
    monkeypatch.setattr(idempotency, "LEASE_SECONDS", 0.02)
    monkeypatch.setattr(idempotency, "_POLL_SECONDS", 0.005)
    monkeypatch.setattr(idempotency, "_RENEWALS_PER_LEASE", 0.1)
    processes = [Idempotency(tables.idempotency, clock=skewed(skew)) for skew in SKEWS]
    lost = 0

    async def request(process: Idempotency, owner: str) -> Any:
        async def find(image_id: str) -> Image | None:
            try:
                return await tables.images.get(owner, image_id)
            except ImageMissing:
                return None

        async def make(claim: RequestClaim) -> Image:
            await asyncio.sleep(random.uniform(0, 0.05))
            image = make_image(owner, id=claim.result_id)
            await tables.images.add(image, quota=Quota(), claim=claim)
            return image

        return await process.run(owner, "key", fingerprint="print", find=find, create=make)

    for _ in range(ROUNDS):
        owner = f"owner-{new_id()}"
        results = await asyncio.gather(*(request(each, owner) for each in processes), return_exceptions=True)
        (image,) = await tables.images_of(owner)
        made = [result for result in results if not isinstance(result, RequestInProgress)]
        assert {getattr(each, "id", each) for each in made} == {image.id}
        assert made
        lost += len(results) - len(made)
        # A caller that has to retry receives the same image.
        assert (await request(processes[0], owner)).id == image.id
    assert lost > ROUNDS / 10
