"""The requests to AWS that each operation causes, and their cost, are those of the table in docs/scale.md."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from app.common import webhook_events
from app.domain.images import Quota
from app.services import authentication
from tests.api.conftest import Person, Service, aws_settings, running
from tests.api.request_counter import RequestCounter
from tests.api.test_direct_uploads import announce, complete, put
from tests.aws_emulators import AwsEmulator
from tests.contracts.tables import READY, make_image
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
PHOTO = jpeg(400, 300)
LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)


@dataclass
class Counted:
    service: Service
    person: Person
    counter: RequestCounter

    async def process_job(self) -> None:
        worker = self.service.container.worker
        [message] = await worker._queue.receive(limit=10, visibility_timeout_seconds=30)
        await worker._runner.process(message)

    async def sweep(self) -> None:
        maintenance = self.service.container.worker._maintenance
        for part in (maintenance, maintenance._deletion, maintenance._upload_expiry):
            # Other tests use the same table, and their items must not be found.
            part._clock = lambda: LONG_AGO
        await maintenance.requeue_stale_jobs()
        await maintenance.finish_deletions()
        await maintenance.expire_uploads()


@pytest_asyncio.fixture(loop_scope="session")
async def counted(aws: AwsEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counted]:
    counter = RequestCounter()
    counter.install(monkeypatch)
    # The sessions of a user are checked every five seconds: here, when the test says so. Webhook endpoints, too.
    monkeypatch.setattr(authentication, "_CACHE_SECONDS", 86_400)
    monkeypatch.setattr(webhook_events, "_CACHE_SECONDS", 86_400)
    async with running(aws_settings(tmp_path, aws)) as service:
        person = await service.person()
        assert (await person.upload(PHOTO)).status_code == 201  # opens the windows of rate limits
        yield Counted(service, person, counter)


def documented() -> dict[str, list[float]]:
    """Return the numbers of the table by operation."""
    rows = re.findall(r"^\| ([a-z][^|]+) \|((?: [\d.]+ \|){7})$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: [float(number) for number in re.findall(r"[\d.]+", numbers)] for name, numbers in rows}


async def add_images(counted: Counted, count: int) -> None:
    images = counted.service.services.library._images
    owner_id = (await counted.person.get("/auth/me")).json()["id"]
    added = [make_image(owner_id, uploaded_at=datetime.now(UTC), thumbnails=(READY,) * 3) for _ in range(count)]
    await asyncio.gather(*(images.add(image, quota=Quota()) for image in added))


async def test_each_operation_causes_the_documented_requests(counted: Counted):
    person, counting = counted.person, counted.counter.counting
    found: dict[str, list[float]] = {}
    with counting() as counts:
        uploaded = await person.upload(PHOTO)
    assert uploaded.status_code == 201
    found["upload"] = counts.row
    with counting() as counts:
        files = {"file": ("photo.jpg", PHOTO, "image/jpeg")}
        accepted = await person.post("/images/upload", files=files, headers={"Prefer": "respond-async"})
    assert accepted.status_code == 202
    found["asynchronous upload"] = counts.row
    with counting() as counts:
        await counted.process_job()
    found["rendering job"] = counts.row
    with counting() as counts:
        opened = await announce(person)
        assert (await put(counted.service, opened, PHOTO)).status_code == 200
        counted.counter.count_put_of_client()
        assert (await complete(person, opened)).status_code == 200
    found["direct upload"] = counts.row
    await add_images(counted, 60)
    with counting() as counts:
        assert len((await person.get("/images?limit=50")).json()["items"]) == 50
    found["list of 50 images"] = counts.row
    with counting() as counts:
        assert len((await person.get("/images?limit=50&sort=taken_at")).json()["items"]) == 50
    found["list of 50 images by time taken"] = counts.row
    with counting() as counts:
        assert (await person.get("/images/timeline")).json()["images"] > 60
    found["timeline"] = counts.row
    image_id = uploaded.json()["id"]
    with counting() as counts:
        assert (await person.get(f"/images/{image_id}")).status_code == 200
    found["image"] = counts.row
    with counting() as counts:
        assert (await person.request("DELETE", f"/images/{image_id}")).status_code == 204
    found["deletion"] = counts.row
    with counting() as counts:
        assert (await person.get("/jobs?status=failed")).status_code == 200
    found["list of jobs"] = counts.row
    counted.service.services.authentication._active.clear()
    with counting() as counts:
        await counted.service.services.authentication.authenticate(person.tokens["access_token"])
    found["check of a session"] = counts.row
    with counting() as counts:
        await counted.sweep()
    found["sweep of a worker"] = counts.row
    assert found == documented(), "The table should be:\n" + "\n".join(_row(name, found[name]) for name in found)


def _row(name: str, numbers: list[float]) -> str:
    *counts, usd = numbers
    return f"| {name} | {' | '.join(f'{count:g}' for count in counts)} | {usd:.2f} |"
