"""What one deployment and one owner can write before DynamoDB refuses, by a model in model time: see docs/scale.md."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from unittest import mock
from uuid import UUID

import stamina.instrumentation

from app.domain.claims import ClaimLost
from app.domain.errors import DependencyUnavailable
from app.domain.images import Image, Quota, Thumbnail, ThumbnailStatus
from app.domain.jobs import Job, JobStatus
from app.jobs import attempt as attempt_module
from app.jobs.attempt import LEASE_SECONDS, MARGIN_SECONDS, Attempt
from app.tables.dynamodb import DynamoDBImageTable, DynamoDBJobTable, DynamoDBTable, keys
from bench import model_time
from bench.dynamodb_model import Limits, ModelClient, highest_rate

_MAX_REFUSED = 0.01
"""The share of throttled writes up to which a rate counts as accepted."""
_START = datetime(2026, 11, 27, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Outcome:
    done_per_second: float
    refused: float
    """The share of writes that DynamoDB throttled, or canceled because of a conflict."""
    failed: int
    """Calls that were given up, which the API reports with the status 503."""
    slowest_seconds: float


def render_jobs(
    rate: float, *, shards: int, limits: Limits, seconds: float = 2, renews_always: bool = False
) -> Outcome:
    """Add `rate` jobs per second and run them like the rendering of thumbnails."""
    renewed_after = 0 if renews_always else attempt_module._RENEWED_AFTER_SECONDS  # noqa: SLF001
    with (
        mock.patch.object(keys, "DUE_SHARDS", shards),
        mock.patch.object(attempt_module, "_RENEWED_AFTER_SECONDS", renewed_after),
    ):
        return _run(rate, _render_job, limits=limits, seconds=seconds)


def upload_as_one_owner(rate: float, *, limits: Limits, seconds: float = 20) -> Outcome:
    """Add `rate` images per second to one owner."""
    return _run(rate, _add_image, limits=limits, seconds=seconds)


def _run(
    rate: float, work: Callable[[DynamoDBTable, str], Awaitable[None]], *, limits: Limits, seconds: float
) -> Outcome:
    client = ModelClient(limits)
    table = DynamoDBTable(cast("Any", client), name="images")
    dice = random.Random(f"{rate}")
    times: list[float] = []
    failed = 0

    async def one(item_id: str, delay: float) -> None:
        nonlocal failed
        await asyncio.sleep(delay)
        started_at = asyncio.get_running_loop().time()
        try:
            await work(table, item_id)
        except (ClaimLost, DependencyUnavailable, TimeoutError):
            failed += 1
        else:
            times.append(asyncio.get_running_loop().time() - started_at)

    async def all_items() -> float:
        arrivals = [dice.uniform(0, seconds) for _ in range(round(rate * seconds))]
        await asyncio.gather(*(one(str(UUID(int=dice.getrandbits(128))), delay) for delay in arrivals))
        return max(asyncio.get_running_loop().time(), seconds)

    random.seed(0)  # for the jitter of retries
    stamina.instrumentation.set_on_retry_hooks(())  # which would log each retry
    try:
        elapsed = model_time.run(all_items())
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
    refused = client.refused.total()
    share = refused / max(1, refused + client.accepted)
    return Outcome(len(times) / elapsed, share, failed, max(times, default=0))


async def _render_job(table: DynamoDBTable, job_id: str) -> None:
    jobs = DynamoDBJobTable(table)
    owner_id = f"owner-{job_id}"
    now = _now()
    await jobs.add_job(Job(job_id, owner_id, "render", created_at=now, updated_at=now, due_at=now))
    lease_until = _now() + timedelta(seconds=LEASE_SECONDS)
    job = await jobs.claim_job(owner_id, job_id, claim=job_id, now=_now(), lease_until=lease_until)
    assert job
    async with asyncio.timeout(LEASE_SECONDS - MARGIN_SECONDS) as deadline:
        attempt = Attempt(jobs, job, deadline, clock=_now)
        await attempt.report(progress=30)
        await asyncio.sleep(0.3)
        await attempt.report(progress=80)
        await attempt.save(due_in=None, status=JobStatus.COMPLETED, progress=100)


async def _add_image(table: DynamoDBTable, image_id: str) -> None:
    await DynamoDBImageTable(table).add(replace(_IMAGE, id=image_id), quota=Quota(images=1_000_000_000))


def _now() -> datetime:
    return _START + timedelta(seconds=asyncio.get_running_loop().time())


_IMAGE = Image(
    id="",
    owner_id="owner",
    filename="photo.jpg",
    description=None,
    content_type="image/jpeg",
    size=4_900_000,
    sha256="0" * 64,
    width=4032,
    height=3024,
    uploaded_at=_START,
    placeholder="1QcSHQRnh493V4dIh4eXh1h4kJUI",
    thumbnails=tuple(
        Thumbnail(size, ThumbnailStatus.READY, "image/jpeg", size, size, 9000) for size in (200, 500, 800)
    ),
)


def highest_job_rate(*, shards: int, limits: Limits, start: float, renews_always: bool = False) -> float:
    """Return the jobs per second up to which DynamoDB throttles less than one percent of the writes."""

    def works(rate: float) -> bool:
        outcome = render_jobs(rate, shards=shards, limits=limits, renews_always=renews_always)
        return outcome.refused < _MAX_REFUSED and not outcome.failed

    return highest_rate(works, start=start, factor=1.1)


def main() -> None:
    limits = Limits()
    earlier = highest_job_rate(shards=1, limits=limits, start=70, renews_always=True)
    print(f"jobs per second before throttling, 1 shard, each report renews the lease: {earlier:.0f}")
    one = highest_job_rate(shards=1, limits=limits, start=150)
    print(f"jobs per second before throttling, 1 shard: {one:.0f}", flush=True)
    rate = highest_job_rate(shards=16, limits=limits, start=2900)
    print(f"jobs per second before throttling, 16 shards: {rate:.0f}, {rate / one:.1f} times as many", flush=True)
    for offered in (4000, 5000):
        refused = render_jobs(offered, shards=keys.DUE_SHARDS, limits=limits).refused
        print(f"{offered} jobs per second, {keys.DUE_SHARDS} shards: {refused:.2%} of writes throttled", flush=True)
    for offered in (10, 20, 30, 40, 60):
        outcome = upload_as_one_owner(offered, limits=limits)
        print(
            f"one owner, {offered} uploads per second offered: {outcome.done_per_second:.0f} stored, "
            f"{outcome.refused:.0%} of transactions conflict, {outcome.failed} requests fail, "
            f"the slowest takes {outcome.slowest_seconds:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
