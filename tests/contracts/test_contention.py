"""Two processes with clocks ten minutes off that do the same at once: whatever it costs, there is one result."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.adapters.dynamodb import DynamoDBImageTable, DynamoDBJobTable, DynamoDBOnceTable
from app.adapters.local_queue import LocalJobQueue
from app.adapters.prometheus import PrometheusMetrics
from app.adapters.sqlite import SqliteImageTable, SqliteJobTable, SqliteOnceTable, open_sqlite
from app.core.clock import Clock
from app.core.errors import ImageMissing, RequestInProgress
from app.core.ids import new_id
from app.core.jobs import Job, JobError, JobKind, JobMessage, JobStatus
from app.core.models import Image, Quota, RequestClaim
from app.core.ports import ImageTable, JobTable, OnceTable
from app.usecases import once as idempotency
from app.usecases.once import Once
from app.usecases.working import Attempt, Work
from tests.contracts.tables import make_image, open_table
from tests.stand_ins import skip_where_transactions_are_slow

ROUNDS = 200
SKEWS = (timedelta(minutes=10), -timedelta(minutes=10))


@dataclass(frozen=True)
class Tables:
    images: ImageTable
    jobs: JobTable
    once: OnceTable

    async def images_of(self, owner: str) -> list[Image]:
        return [image async for image in self.images.walk(owner)]


@pytest.fixture(params=["sqlite", "dynamodb"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield Tables(SqliteImageTable(database), SqliteJobTable(database), SqliteOnceTable(database))
    else:
        aws = request.getfixturevalue("aws")
        skip_where_transactions_are_slow(aws)
        async with open_table(aws) as table:
            yield Tables(DynamoDBImageTable(table), DynamoDBJobTable(table), DynamoDBOnceTable(table))


def skewed(skew: timedelta) -> Clock:
    return lambda: datetime.now(UTC) + skew


class Fetching:
    """Makes one image for a job, as EanImports does, and takes a while for it."""

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


async def test_two_workers_whose_clocks_are_wrong_make_one_image_for_each_job(tables: Tables):
    handling, queue = Fetching(tables.images), LocalJobQueue(wait_seconds=0)
    workers = [
        Work(
            table=tables.jobs,
            queue=queue,
            handlers=dict.fromkeys(JobKind, handling),
            metrics=PrometheusMetrics(),
            clock=skewed(skew),
        )
        for skew in SKEWS
    ]
    contended = 0
    for _ in range(ROUNDS):
        owner = f"owner-{new_id()}"
        # Due to both: to the one that is early each lease of the other has run out long ago.
        due = datetime.now(UTC) - timedelta(hours=1)
        job = Job(new_id(), owner, JobKind.FETCH, due, due, due)
        await tables.jobs.add_job(job)
        late, early = (JobMessage(owner, job.id, receipt=str(n)) for n in range(2))
        begun = asyncio.create_task(workers[1].carry_out(late))
        await asyncio.sleep(random.uniform(0, 0.015))
        await asyncio.gather(begun, workers[0].carry_out(early))
        done = await tables.jobs.find_job(owner, job.id)
        assert done
        assert done.status is JobStatus.COMPLETED
        assert [image.id for image in await tables.images_of(owner)] == [done.image_id]
        contended += done.attempts > 1
    assert handling.made == ROUNDS
    assert contended > ROUNDS / 10


async def test_two_processes_whose_clocks_are_wrong_make_one_image_for_each_key(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    # The lease is so short that its holder often loses it, as if its process had stalled.
    monkeypatch.setattr(idempotency, "LEASE_SECONDS", 0.02)
    monkeypatch.setattr(idempotency, "_POLL_SECONDS", 0.005)
    monkeypatch.setattr(idempotency, "_RENEWALS", 0.1)
    processes = [Once(tables.once, clock=skewed(skew)) for skew in SKEWS]
    lost = 0

    async def request(process: Once, owner: str) -> Any:
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

        return await process.run(owner, "key", fingerprint="print", find=find, make=make)

    for _ in range(ROUNDS):
        owner = f"owner-{new_id()}"
        results = await asyncio.gather(*(request(each, owner) for each in processes), return_exceptions=True)
        (image,) = await tables.images_of(owner)
        made = [result for result in results if not isinstance(result, RequestInProgress)]
        assert {getattr(each, "id", each) for each in made} == {image.id}
        assert made
        lost += len(results) - len(made)
        # Whoever was told to come again gets the same image.
        assert (await request(processes[0], owner)).id == image.id
    assert lost > ROUNDS / 10
