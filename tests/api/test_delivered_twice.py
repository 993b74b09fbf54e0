"""Each message is delivered twice concurrently, and again after it was acknowledged. The result must be the same."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.container import backends
from app.domain.jobs import JobMessage
from app.ports.queue import JobQueue
from tests import fake_catalog
from tests.api.conftest import Person, Service, aws_settings, embedded_settings, running
from tests.api.test_background_rendering import ASYNC, CUT_SHORT
from tests.fake_catalog import FakeCatalog
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

_LONGEST_HIDDEN_SECONDS = 1
"""Shorter than requested, because a queue that delivers at least once does not guarantee when."""


class Twice:
    def __init__(self, real: JobQueue) -> None:
        self._real = real
        self._numbers = count()
        self._acknowledged: set[str] = set()
        self._under_way: set[str] = set()
        self._hidden: set[str] = set()
        self.deliveries: Counter[str] = Counter()

    async def send(self, owner_id: str, job_id: str, *, delay_seconds: int = 0) -> None:
        await self._real.send(owner_id, job_id, delay_seconds=delay_seconds)

    async def receive(self, *, limit: int, visibility_timeout_seconds: int) -> Sequence[JobMessage]:
        received = await self._real.receive(
            limit=(limit + 1) // 2, visibility_timeout_seconds=visibility_timeout_seconds
        )
        copies = [JobMessage(m.owner_id, m.job_id, f"copy {next(self._numbers)}") for m in received]
        both = [message for pair in zip(received, copies, strict=True) for message in pair]
        for message in both:
            self._hidden.discard(message.job_id)
            self._under_way.add(message.receipt)
            self.deliveries[message.job_id] += 1
        return both

    async def change_visibility(self, message: JobMessage, *, timeout_seconds: int) -> None:
        self._under_way.discard(message.receipt)
        if not message.receipt.startswith("copy"):
            self._hidden.add(message.job_id)
            await self._real.change_visibility(message, timeout_seconds=min(timeout_seconds, _LONGEST_HIDDEN_SECONDS))

    async def acknowledge(self, message: JobMessage) -> None:
        if not message.receipt.startswith("copy"):
            await self._real.acknowledge(message)
            if message.job_id not in self._acknowledged:
                self._acknowledged.add(message.job_id)
                await self._real.send(message.owner_id, message.job_id)
        self._under_way.discard(message.receipt)

    async def depth(self) -> int:
        return await self._real.depth()

    async def check(self) -> None:
        await self._real.check()

    async def wait_until_acknowledged(self, job_ids: list[str]) -> None:
        """Wait until each message was also delivered after its job ended, and the queue is empty."""
        for _ in range(600):
            is_left = self._under_way or self._hidden or await self.depth()
            if not is_left and all(self.deliveries[job_id] >= 4 for job_id in job_ids):
                return
            await asyncio.sleep(0.05)
        raise AssertionError((self._under_way, self._hidden, self.deliveries))


@pytest_asyncio.fixture(loop_scope="session")
async def queues(monkeypatch: pytest.MonkeyPatch) -> list[Twice]:
    opened: list[Twice] = []

    def wrapped(open_queue: Callable[..., AbstractAsyncContextManager[JobQueue]]) -> Any:
        @asynccontextmanager
        async def open_twice(*arguments: Any) -> AsyncIterator[Twice]:
            async with open_queue(*arguments) as real:
                opened.append(Twice(real))
                yield opened[-1]

        return open_twice

    for name in ("open_local_queue", "open_sqs_queue"):
        monkeypatch.setattr(backends, name, wrapped(getattr(backends, name)))
    return opened


@pytest_asyncio.fixture(loop_scope="session", params=["embedded", "aws"])
async def service(request: pytest.FixtureRequest, tmp_path: Path, queues: list[Twice]) -> AsyncIterator[Service]:
    async with FakeCatalog() as catalog:
        changes = {"product_catalog_url": catalog.url, "product_catalog_user_agent": "Tests/1.0 (tests@example.com)"}
        if request.param == "embedded":
            settings = embedded_settings(tmp_path, **changes)
        else:
            settings = aws_settings(tmp_path, request.getfixturevalue("aws"), **changes)
        async with running(settings, with_worker=True) as opened:
            yield opened


@pytest.fixture
def queue(service: Service, queues: list[Twice]) -> Twice:
    return queues[0]


async def upload(person: Person, data: bytes) -> str:
    files = {"file": ("photo.jpg", data, "image/jpeg")}
    response = await person.request("POST", "/images/upload", files=files, headers=ASYNC)
    assert response.status_code == 202
    image_id: str = response.json()["id"]
    return image_id


async def ended(person: Person) -> list[dict[str, Any]]:
    async with asyncio.timeout(300):
        while True:
            jobs: list[dict[str, Any]] = (await person.get("/jobs")).json()["items"]
            if all(job["finished_at"] for job in jobs):
                return jobs
            await asyncio.sleep(0.05)


async def images(person: Person) -> dict[str, dict[str, Any]]:
    items = (await person.get("/images")).json()["items"]
    assert len({item["id"] for item in items}) == len(items)
    return {item["id"]: item for item in items}


async def me(person: Person) -> dict[str, Any]:
    found: dict[str, Any] = (await person.get("/auth/me")).json()
    return found


async def stored(service: Service, prefix: str) -> list[str]:
    return [found.key async for found in service.services.uploads._store.walk(prefix)]


async def test_uploads_are_rendered_once_if_messages_are_delivered_twice(service: Service, queue: Twice):
    person = await service.person()
    ids = await asyncio.gather(*(upload(person, jpeg(seed=seed)) for seed in range(8)))
    jobs = await ended(person)
    await queue.wait_until_acknowledged([job["job_id"] for job in jobs])
    jobs = await ended(person)
    assert Counter((job["status"], job["attempts"]) for job in jobs) == {("completed", 1): 8}
    found = await images(person)
    assert found.keys() == set(ids)
    assert {(t["status"], t["attempts"]) for image in found.values() for t in image["thumbnails"]} == {("ready", 1)}
    owner = await me(person)
    assert owner["usage"]["images"] == 8
    folders = Counter(key.split("/")[2] for key in await stored(service, f"images/{owner['id']}/"))
    assert folders == dict.fromkeys(ids, 5)


async def test_attempts_of_a_failing_job_are_counted_if_messages_are_delivered_twice(service: Service, queue: Twice):
    person = await service.person()
    image_id = await upload(person, CUT_SHORT)
    await ended(person)
    assert (await person.request("POST", f"/images/{image_id}/thumbnails")).status_code == 202
    jobs = await ended(person)
    assert Counter((job["status"], job["attempts"]) for job in jobs) == {("failed", 1): 2}
    thumbnails = (await images(person))[image_id]["thumbnails"]
    assert {(thumbnail["status"], thumbnail["attempts"]) for thumbnail in thumbnails} == {("failed", 2)}
    assert len(await stored(service, f"images/{(await me(person))['id']}/")) == 2


async def test_product_image_is_stored_once_if_messages_are_delivered_twice(service: Service, queue: Twice):
    person = await service.person()
    eans = [fake_catalog.WITH_IMAGE, fake_catalog.SECOND_WITH_IMAGE]
    for ean in eans:
        assert (await person.request("POST", "/fetch-image", json={"ean_code": ean})).status_code == 202
    jobs = await ended(person)
    await queue.wait_until_acknowledged([job["job_id"] for job in jobs])
    jobs = await ended(person)
    assert Counter((job["status"], job["attempts"]) for job in jobs) == {("completed", 1): 2}
    found = await images(person)
    assert found.keys() == {job["result"]["image_id"] for job in jobs}
    assert sorted(image["source"]["ean"] for image in found.values()) == sorted(eans)
    owner = await me(person)
    assert owner["usage"]["images"] == 2
    assert len(await stored(service, f"images/{owner['id']}/")) == 10


async def test_export_is_created_once_if_messages_are_delivered_twice(service: Service, queue: Twice):
    person = await service.person()
    assert (await person.upload()).status_code == 201
    assert (await person.post("/auth/me/export")).status_code == 202
    (job,) = await ended(person)
    await queue.wait_until_acknowledged([job["job_id"]])
    (job,) = await ended(person)
    assert (job["status"], job["attempts"]) == ("completed", 1)
    assert len(await stored(service, f"exports/{(await me(person))['id']}/")) == 1
    download = await service.fetch(job["result"]["url"])
    assert len(zipfile.ZipFile(io.BytesIO(download.content)).namelist()) == 2


async def test_account_is_deleted_once_if_messages_are_delivered_twice(service: Service, queue: Twice):
    person, other = await service.person(), await service.person()
    for seed in range(3):
        await person.upload(jpeg(seed=seed))
        await upload(person, jpeg(seed=seed))
    kept = await upload(other, jpeg())
    owner_id = (await me(person))["id"]
    response = await person.request("DELETE", "/auth/me")
    assert response.status_code == 202
    await queue.wait_until_acknowledged([response.json()["job_id"]])
    assert await stored(service, f"images/{owner_id}/") == []
    services = service.services
    [job], _ = await services.jobs._table.page_jobs(owner_id, before=None, limit=10)
    assert (job.kind, job.status, job.attempts) == ("delete_account", "completed", 1)
    assert [image async for image in services.uploads._images.walk(owner_id)] == []
    assert (await services.uploads._images.usage(owner_id)).images == 0
    await ended(other)
    assert (await images(other)).keys() == {kept}
    assert (await service.client.post("/api/v1/auth/register", json=_registration(person))).status_code == 201


def _registration(person: Person) -> dict[str, str]:
    return {"email": person.email, "password": "a long enough passphrase"}
