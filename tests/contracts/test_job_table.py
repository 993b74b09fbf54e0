"""The contract of every JobTable: see app.ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from app.domain.ids import new_id
from app.domain.images import Quota
from app.domain.jobs import DueJob, Job, JobError, JobStatus
from app.ports.tables import JobTable
from app.tables.dynamodb import DynamoDBImageTable, DynamoDBJobTable, DynamoDBOwnerTable, DynamoDBTable
from app.tables.dynamodb.keys import DUE_JOBS, due_partition, job_key
from app.tables.sqlite import SqliteJobTable, open_sqlite
from app.tables.sqlite import jobs as sqlite_jobs
from tests.aws_emulators import AwsEmulator
from tests.contracts.tables import NOON, make_image, make_job, open_table

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
LONG_AGO = datetime(1999, 12, 31, 23, 59, tzinfo=NOON.tzinfo)
"""Before the due times of the jobs of all other tests."""

FULL: dict[str, Any] = {
    "kind": "render",
    "status": JobStatus.RETRYING,
    "claim": "first",
    "attempts": 3,
    "progress": 55,
    "error": JobError("image_rejected", "The catalog's image is damaged. 🏖"),
    "ean": "4006381333931",
    "description": "ü" * 2000,
    "image_id": "0199aaaa-0000-7000-8000-000000000000",
}


@pytest.fixture(params=["sqlite", "dynamodb"])
async def jobs(request: pytest.FixtureRequest, tmp_path: Path, owner: str) -> AsyncIterator[JobTable]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield SqliteJobTable(database, clock=lambda: NOON)
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield DynamoDBJobTable(table)
            # Due jobs are visible to all tests.
            await DynamoDBOwnerTable(table).delete_owner_data(owner, except_job_id="", deleted_at=NOON)


@pytest.fixture
def owner() -> str:
    return f"owner-{new_id()}"


async def claim(jobs: JobTable, job: Job, *, by: str = "first", now: datetime = NOON) -> Job | None:
    return await jobs.claim_job(job.owner_id, job.id, claim=by, now=now, lease_until=now + MINUTE)


async def claimed(jobs: JobTable, job: Job, *, by: str = "first", now: datetime = NOON) -> Job:
    running = await claim(jobs, job, by=by, now=now)
    assert running
    return running


def finished(job: Job, **changes: Any) -> Job:
    return replace(job, status=JobStatus.COMPLETED, progress=100, due_at=None, updated_at=NOON + MINUTE, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        FULL,
        {"due_at": None, "status": JobStatus.FAILED},
        *({"kind": kind} for kind in ("fetch", "render", "export", "delete_account")),
    ],
    ids=lambda changes: ",".join(changes) or "usual",
)
async def test_added_job_is_returned_unchanged(jobs: JobTable, owner: str, changes: dict[str, Any]) -> None:
    job = make_job(owner, **changes)
    await jobs.add_job(job)
    assert await jobs.find_job(owner, job.id) == job
    assert await jobs.page_jobs(owner, before=None, limit=1) == ([job], None)


async def test_times_in_another_time_zone_are_stored_as_the_same_instant(jobs: JobTable, owner: str) -> None:
    time = NOON.replace(microsecond=0).astimezone(timezone(timedelta(hours=-5)))
    job = make_job(owner, created_at=time, updated_at=time, due_at=time)
    await jobs.add_job(job)
    assert await jobs.find_job(owner, job.id) == job
    assert await claim(jobs, job, now=NOON.replace(microsecond=0) - INSTANT) is None
    assert await claim(jobs, job, now=time)


@pytest.mark.parametrize("job_id", ["0199aaaa-0000-7000-8000-000000000000", "", "%", "../x", "é"])
async def test_unknown_job_is_none(jobs: JobTable, owner: str, job_id: str) -> None:
    await jobs.add_job(make_job(owner))
    assert await jobs.find_job(owner, job_id) is None


async def test_adding_an_existing_job_changes_nothing(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    running = await claimed(jobs, job)
    await jobs.add_job(job)
    assert await jobs.find_job(owner, job.id) == running


async def test_another_owners_job_is_missing_for_every_method(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    running = await claimed(jobs, job)
    stranger = replace(running, owner_id=f"{owner}x")
    assert await jobs.find_job(stranger.owner_id, job.id) is None
    assert await jobs.page_jobs(stranger.owner_id, before=None, limit=10) == ([], None)
    assert await claim(jobs, stranger, by="second", now=NOON + DAY) is None
    assert not await jobs.save_job(replace(stranger, progress=50))
    assert await jobs.find_job(stranger.owner_id, job.id) is None
    assert await jobs.find_job(owner, job.id) == running


async def test_pages_hold_every_job_once_newest_first(jobs: JobTable, owner: str) -> None:
    added = [make_job(owner) for _ in range(25)]
    for job in added:
        await jobs.add_job(job)
    await jobs.add_job(make_job(f"{owner}x"))
    first, last_id = await jobs.page_jobs(owner, before=None, limit=20)
    assert last_id == first[-1].id
    rest, end = await jobs.page_jobs(owner, before=last_id, limit=20)
    assert [len(first), len(rest), end] == [20, 5, None]
    assert [*first, *rest] == added[::-1]
    assert await jobs.page_jobs(owner, before=None, limit=25) == (added[::-1], None)
    assert await jobs.page_jobs(owner, before=added[0].id, limit=20) == ([], None)


async def jobs_of_status(jobs: JobTable, owner: str, status: JobStatus, *, limit: int) -> list[Job]:
    found: list[Job] = []
    before = None
    while True:
        page, before = await jobs.page_jobs(owner, before=before, limit=limit, status=status)
        assert len(page) <= limit
        found += page
        if before is None:
            return found


async def test_pages_of_one_status_hold_each_of_its_jobs_once(jobs: JobTable, owner: str) -> None:
    rare = [n for n in range(600) if n % 150 == 0]
    added = [make_job(owner, status=JobStatus.FAILED if n in rare else JobStatus.QUEUED) for n in range(600)]
    for start in range(0, 600, 50):
        await asyncio.gather(*(jobs.add_job(job) for job in added[start : start + 50]))
    newest_first = added[::-1]
    failed = [job for job in newest_first if job.status is JobStatus.FAILED]
    queued = [job for job in newest_first if job.status is JobStatus.QUEUED]
    for limit in (1, 3, 500):
        assert await jobs_of_status(jobs, owner, JobStatus.FAILED, limit=limit) == failed
    assert await jobs_of_status(jobs, owner, JobStatus.QUEUED, limit=100) == queued
    assert await jobs_of_status(jobs, owner, JobStatus.COMPLETED, limit=3) == []


async def test_claim_starts_an_attempt_until_the_lease_ends(jobs: JobTable, owner: str) -> None:
    error = JobError("catalog_unavailable", "It is tried again.")
    job = make_job(owner, status=JobStatus.RETRYING, attempts=2, error=error, ean="4006381333931")
    await jobs.add_job(job)
    now, until = NOON + MINUTE, NOON + 2 * MINUTE
    running = await jobs.claim_job(owner, job.id, claim="third", now=now, lease_until=until)
    assert running == replace(
        job, status=JobStatus.RUNNING, claim="third", attempts=3, due_at=until, updated_at=now, error=error
    )
    assert await jobs.find_job(owner, job.id) == running


async def test_job_can_be_claimed_exactly_when_it_is_due(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    assert await claim(jobs, job, now=NOON - INSTANT) is None
    assert await jobs.find_job(owner, job.id) == job
    assert await claim(jobs, job, now=NOON)


async def test_running_job_can_be_claimed_exactly_when_its_lease_ends(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    first = await claimed(jobs, job)
    assert await claim(jobs, job, by="second", now=NOON + MINUTE - INSTANT) is None
    assert await jobs.find_job(owner, job.id) == first
    second = await claimed(jobs, job, by="second", now=NOON + MINUTE)
    assert (second.claim, second.attempts, second.due_at) == ("second", 2, NOON + 2 * MINUTE)


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED])
async def test_a_finished_job_is_never_claimed(jobs: JobTable, owner: str, status: JobStatus) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    done = replace(finished(await claimed(jobs, job)), status=status)
    assert await jobs.save_job(done)
    for by in ("first", "second"):
        assert await claim(jobs, job, by=by, now=NOON + DAY) is None
    assert await jobs.find_job(owner, job.id) == done


async def test_missing_job_is_not_claimed(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    assert await claim(jobs, job) is None
    assert await jobs.find_job(owner, job.id) is None


async def test_claim_is_idempotent(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    running = await claimed(jobs, job)
    assert await claim(jobs, job) == running
    assert await jobs.find_job(owner, job.id) == running


async def test_exactly_one_of_twenty_concurrent_claims_succeeds(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    results = await asyncio.gather(*(claim(jobs, job, by=f"claim-{n}") for n in range(20)))
    [winner] = [result for result in results if result]
    assert winner.claim == f"claim-{results.index(winner)}"
    assert winner.attempts == 1
    assert await jobs.find_job(owner, job.id) == winner


async def test_save_overwrites_the_mutable_fields(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    running = await claimed(jobs, job)
    changes = FULL | {"kind": job.kind, "status": JobStatus.RUNNING, "due_at": NOON + DAY, "updated_at": NOON + MINUTE}
    saved = replace(running, **changes)
    assert await jobs.save_job(saved)
    assert await jobs.find_job(owner, job.id) == saved
    bare = replace(saved, error=None, ean=None, description=None, image_id=None)
    assert await jobs.save_job(bare)
    assert await jobs.find_job(owner, job.id) == bare


async def test_save_keeps_kind_and_creation_time(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    running = await claimed(jobs, job)
    assert await jobs.save_job(replace(running, kind="delete_account", created_at=NOON + DAY, progress=10))
    assert await jobs.find_job(owner, job.id) == replace(running, progress=10)


async def test_worker_that_lost_its_lease_saves_nothing(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    first = await claimed(jobs, job)
    second = await claimed(jobs, job, by="second", now=NOON + MINUTE)
    assert not await jobs.save_job(finished(first))
    assert await jobs.find_job(owner, job.id) == second
    assert await jobs.save_job(finished(second))


async def test_expired_lease_can_save_until_another_worker_claims_the_job(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    late = finished(await claimed(jobs, job), image_id="0199")
    assert await jobs.save_job(replace(late, updated_at=NOON + DAY))


async def test_nothing_is_saved_for_a_released_or_finished_job(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    running = await claimed(jobs, job)
    waiting = replace(running, status=JobStatus.RETRYING, due_at=NOON + MINUTE)
    assert await jobs.save_job(waiting)
    assert not await jobs.save_job(replace(running, progress=99))
    assert await jobs.find_job(owner, job.id) == waiting

    done = finished(await claimed(jobs, job, by="second", now=NOON + MINUTE))
    assert await jobs.save_job(done)
    assert not await jobs.save_job(replace(done, status=JobStatus.FAILED))
    assert await jobs.find_job(owner, job.id) == done


async def test_save_is_idempotent(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    done = finished(await claimed(jobs, job))
    assert await jobs.save_job(done)
    assert await jobs.save_job(done)
    assert await jobs.find_job(owner, job.id) == done


async def test_nothing_is_saved_for_an_unclaimed_job(jobs: JobTable, owner: str) -> None:
    job = make_job(owner)
    await jobs.add_job(job)
    assert not await jobs.save_job(job)
    assert not await jobs.save_job(replace(job, claim="first", progress=50))
    assert await jobs.find_job(owner, job.id) == job


async def test_saving_a_missing_job_creates_nothing(jobs: JobTable, owner: str) -> None:
    job = make_job(owner, status=JobStatus.RUNNING, claim="first")
    assert not await jobs.save_job(job)
    assert not await jobs.save_job(replace(job, claim=None))
    assert await jobs.find_job(owner, job.id) is None


async def test_due_jobs_are_unfinished_jobs_of_all_owners_oldest_first(jobs: JobTable, owner: str) -> None:
    times = [LONG_AGO + n * MINUTE for n in (3, 1, 4, 2)]
    added = [make_job(owner, due_at=time) for time in times]
    added[1] = replace(added[1], status=JobStatus.RUNNING, claim="lost")
    for job in added:
        await jobs.add_job(job)
    done = make_job(owner, due_at=None, status=JobStatus.COMPLETED, updated_at=LONG_AGO)
    await jobs.add_job(done)
    oldest_first = [DueJob(owner, added[n].id, times[n]) for n in (1, 3, 0, 2)]
    assert await jobs.due_jobs(before=LONG_AGO + DAY, limit=10) == oldest_first
    assert await jobs.due_jobs(before=LONG_AGO + 3 * MINUTE, limit=10) == oldest_first[:2]
    assert await jobs.due_jobs(before=LONG_AGO + 3 * MINUTE + INSTANT, limit=10) == oldest_first[:3]
    assert await jobs.due_jobs(before=LONG_AGO + DAY, limit=2) == oldest_first[:2]
    assert await jobs.due_jobs(before=LONG_AGO, limit=2) == []


async def test_job_is_due_when_its_lease_ends_unless_it_is_finished(jobs: JobTable, owner: str) -> None:
    job = make_job(owner, due_at=LONG_AGO)
    await jobs.add_job(job)
    running = await claimed(jobs, job, now=LONG_AGO)
    assert await jobs.due_jobs(before=LONG_AGO + MINUTE, limit=10) == []
    assert await jobs.due_jobs(before=LONG_AGO + 2 * MINUTE, limit=10) == [DueJob(owner, job.id, LONG_AGO + MINUTE)]
    assert await jobs.save_job(finished(running))
    assert await jobs.due_jobs(before=LONG_AGO + DAY, limit=10) == []


async def test_sqlite_removes_only_finished_jobs_after_30_days(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "service.db") as database:
        time = NOON
        jobs = SqliteJobTable(database, clock=lambda: time)
        for n in range(10):
            await jobs.add_job(make_job(f"owner-{n}", due_at=None, status=JobStatus.FAILED, updated_at=NOON))
        unfinished = make_job("owner", due_at=NOON)
        kept = make_job("owner", due_at=None, status=JobStatus.COMPLETED, updated_at=NOON + INSTANT)
        for job in (unfinished, kept):
            await jobs.add_job(job)
        time = NOON + 30 * DAY
        added = make_job("owner", due_at=time)
        await jobs.add_job(added)
        assert await jobs.page_jobs("owner", before=None, limit=10) == ([added, kept, unfinished], None)
        assert len(await database.read("SELECT * FROM jobs")) == 3


async def test_sqlite_uses_an_index_for_due_and_old_jobs(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "service.db") as database:
        due = await database.read(f"EXPLAIN QUERY PLAN {sqlite_jobs._DUE}", "x", 1)
        old = await database.read(f"EXPLAIN QUERY PLAN {sqlite_jobs._REMOVE_EXPIRED}", "x")
        plans = [row["detail"] for row in (*due, *old)]
        assert plans == [
            "SEARCH jobs USING COVERING INDEX jobs_by_due_time (due_at<?)",
            "SEARCH jobs USING INDEX finished_jobs (updated_at<?)",
        ]


@pytest.fixture
async def table(aws: AwsEmulator, owner: str) -> AsyncIterator[DynamoDBTable]:
    async with open_table(aws) as opened:
        yield opened
        await DynamoDBOwnerTable(opened).delete_owner_data(owner, except_job_id="", deleted_at=NOON)


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


async def test_dynamodb_claim_and_save_succeed_if_the_response_is_lost(
    table: DynamoDBTable, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, jobs = make_job(owner), DynamoDBJobTable(table)
    adding = lose_answer(table, "put_item", monkeypatch)
    await jobs.add_job(job)
    claiming = lose_answer(table, "update_item", monkeypatch)
    running = await claimed(jobs, job)
    assert running.attempts == 1
    monkeypatch.undo()
    saving = lose_answer(table, "update_item", monkeypatch)
    assert await jobs.save_job(finished(running))
    assert [len(adding), len(claiming), len(saving)] == [2, 2, 2]


async def test_dynamodb_has_only_unfinished_jobs_in_the_index_and_only_finished_ones_expire(
    table: DynamoDBTable, owner: str
) -> None:
    job, jobs = make_job(owner), DynamoDBJobTable(table)
    await jobs.add_job(job)
    item = await table.find(job_key(owner, job.id))
    assert item
    assert (item["due"], "expires_at" in item) == (due_partition(DUE_JOBS, job.id), False)
    done = finished(await claimed(jobs, job))
    await jobs.save_job(done)
    item = await table.find(job_key(owner, job.id))
    assert item
    assert item["expires_at"] == int((done.updated_at + 30 * DAY).timestamp()) + 1
    assert not item.keys() & {"due", "due_at"}


async def test_dynamodb_lists_no_job_among_the_images(table: DynamoDBTable, owner: str) -> None:
    image, images = make_image(owner), DynamoDBImageTable(table)
    await images.add(image, quota=Quota())
    await DynamoDBJobTable(table).add_job(make_job(owner))
    assert await images.page(owner, before=None, limit=10) == [image]
