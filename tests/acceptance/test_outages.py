"""Some and then all calls to the store, the table and the queue fail: no data is lost, and the service recovers."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Deployment, environment_for, started
from tests.acceptance.test_crash import reconcile, reconcile_later
from tests.acceptance.worker_process import (
    ASYNC,
    OBJECTS_PER_IMAGE,
    WORKER,
    dead_letters,
    keys,
    pages,
    wait_until_done,
    worker,
)
from tests.aws_emulators import AwsEmulator
from tests.fault_proxy import Fault, FaultProxy
from tests.pictures import jpeg

DEPENDENCIES = ("queue", "table", "store")
CLIENTS = 5
SHAKY_SHARE = 0.3
SHAKY_SECONDS = 5
OUTAGE_SECONDS = 20
"""Longer than a call is retried."""
RESPONSE_SECONDS = 300
"""Much longer than a few calls of the table (at most 10 s each) and one of the store (15 s), for slow machines."""
UPLOAD_SECONDS = 300
"""Much longer than storing the objects of an image may take (40 s), for slow machines."""


@dataclass
class Client:
    """Sends one request after another and remembers the acknowledged results."""

    api: httpx.AsyncClient
    number: int
    kept: dict[str, bytes] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)
    responses: Counter[tuple[str, int]] = field(default_factory=Counter)
    photos: int = 0

    async def go_on_until(self, stop: asyncio.Event) -> None:
        announced = {"filename": "a.jpg", "content_type": "image/jpeg", "size": 5}
        things: list[Callable[[], Awaitable[object]]] = [
            lambda: self.upload("upload", {}, 201),
            lambda: self.upload("upload later", ASYNC, 202),
            lambda: self.ask("list", "GET", "", 200),
            lambda: self.ask("announce", "POST", "/uploads", 201, json=announced),
            self.delete_one,
        ]
        # Each client starts with a different request.
        for turn in itertools.count(self.number):
            if stop.is_set():
                return
            await things[turn % len(things)]()
            await asyncio.sleep(0.05)

    async def upload(self, what: str, headers: Mapping[str, str], status: int) -> None:
        self.photos += 1
        photo = jpeg(320 + self.photos % 64, 240, seed=self.number * 100_000 + self.photos)
        files = {"file": ("photo.jpg", photo)}
        response = await self.ask(what, "POST", "/upload", status, files=files, headers=headers)
        if response:
            self.kept[response.json()["id"]] = photo

    async def delete_one(self) -> None:
        if left := self.kept.keys() - self.deleted - self.uncertain:
            image_id = min(left)
            if await self.ask("delete", "DELETE", f"/{image_id}", 204):
                self.deleted.add(image_id)
            else:
                self.uncertain.add(image_id)

    async def ask(self, what: str, method: str, path: str, status: int, **arguments: Any) -> httpx.Response | None:
        """Return the response, or None if it is a 503."""
        seconds = UPLOAD_SECONDS if "files" in arguments else RESPONSE_SECONDS
        response = await self.api.request(method, f"/api/v1/images{path}", timeout=seconds, **arguments)
        self.responses[what, response.status_code] += 1
        if response.status_code == status:
            return response
        assert response.status_code == 503, (what, response.text)
        assert int(response.headers["Retry-After"]) > 0
        await asyncio.sleep(0.3)
        return None


async def use(service: Deployment, headers: Mapping[str, str], proxy: FaultProxy) -> dict[str, list[Client]]:
    """Return the clients that used the service during the failure of each dependency, by its name."""
    clients: dict[str, list[Client]] = {}
    async with httpx.AsyncClient(base_url=service.url, headers=headers) as api:
        for number, dependency in enumerate(DEPENDENCIES):
            clients[dependency] = [Client(api, number * CLIENTS + one) for one in range(CLIENTS)]
            for share, seconds in ((SHAKY_SHARE, SHAKY_SECONDS), (1, OUTAGE_SECONDS)):
                proxy.shares = {dependency: share}
                stop = asyncio.Event()
                async with asyncio.TaskGroup() as group:
                    for client in clients[dependency]:
                        group.create_task(client.go_on_until(stop))
                    await asyncio.sleep(seconds)
                    while not proxy.have_occurred(dependency, share=share):  # noqa: ASYNC110 - no event
                        await asyncio.sleep(0.1)
                    stop.set()
                    proxy.shares = {}
    return clients


def refused(clients: list[Client]) -> set[str]:
    return {what for client in clients for what, status in client.responses if status == 503}


def check(service: Deployment, headers: Mapping[str, str], clients: list[Client]) -> dict[str, int]:
    """Return the expected number of objects under the prefix of each image."""
    images = {image["id"]: image for image in pages(service, headers, "/images")}
    kept = {image_id: photo for client in clients for image_id, photo in client.kept.items()}
    deleted, uncertain = (set().union(*(getattr(c, name) for c in clients)) for name in ("deleted", "uncertain"))
    assert kept.keys() - deleted - uncertain <= images.keys()
    assert not deleted & images.keys()
    with httpx.Client(timeout=300) as opener:
        for image_id, image in images.items():
            # An image may exist although its upload returned 503. Then it is complete.
            original = opener.get(image["original_url"])
            assert original.status_code == 200
            assert original.content == kept.get(image_id, original.content)
            assert [thumbnail["status"] for thumbnail in image["thumbnails"]] == ["ready"] * 3
            for thumbnail in image["thumbnails"]:
                assert len(opener.get(thumbnail["url"]).content) == thumbnail["bytes"]
    me = httpx.get(f"{service.url}/api/v1/auth/me", headers=headers).json()
    assert me["usage"]["images"] == len(images)
    assert me["usage"]["bytes"] == sum(image["size"] for image in images.values())
    return {f"images/{me['id']}/{image_id}": OBJECTS_PER_IMAGE for image_id in images}


@pytest.mark.slow
def test_outage_of_each_dependency_loses_no_data(tmp_path: Path, aws: AwsEmulator):
    direct = environment_for(tmp_path / "data", aws)
    with FaultProxy(aws.url, seed=1).listening() as proxy:
        shaken = dataclasses.replace(aws, url=proxy.url)
        environment = environment_for(tmp_path / "data", shaken, S3_PRESIGNED_URL_ENDPOINT=aws.url)
        dead_letters(aws)
        with (
            started(environment, command=("main.py",)) as running,
            worker(environment, name="worker", command=WORKER) as working,
        ):
            headers = running.register()
            by_dependency = asyncio.run(use(running, headers, proxy))
            assert refused(by_dependency["queue"]) == set()
            assert refused(by_dependency["table"]) == {"upload", "upload later", "list", "announce", "delete"}
            assert refused(by_dependency["store"]) == {"upload", "upload later"}
            jobs = wait_until_done(running, headers)
            assert {job["status"] for job in jobs} == {"completed"}
            expected = check(running, headers, [client for clients in by_dependency.values() for client in clients])
            assert running.process.poll() is working.process.poll() is None
            assert dead_letters(aws) == []
        for dependency in DEPENDENCIES:
            assert all(proxy.failed[dependency, fault] for fault in Fault)
    findings = reconcile(direct)
    assert findings.records_lost == findings.records_kept == findings.thumbnails_failed == 0
    asyncio.run(reconcile_later(direct))
    again = reconcile(direct)
    assert again.unreferenced == again.records_lost == 0
    owner = next(iter(expected)).rpartition("/")[0]
    assert Counter(key.rpartition("/")[0] for key in keys(aws, f"{owner}/")) == expected
