"""With SCAN_URL, images are pending until the scanner has accepted them, on both backends."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.domain.accounts import User
from app.domain.events import EventType
from app.jobs import retry_policy, worker
from tests.api.conftest import Person, Service, aws_settings, embedded_settings, running
from tests.api.test_admin import code
from tests.api.test_direct_uploads import announce, complete, put
from tests.pictures import jpeg
from tests.scan_server import ACCEPT, ScanServer, scan_server
from tests.webhook_receiver import webhook_receiver

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHOTO = jpeg(400, 300)
UNDECIDED: tuple[int, dict[str, Any]] = 503, {}


@pytest.fixture(scope="module")
def started_scanner() -> Iterator[ScanServer]:
    with scan_server() as started:
        yield started


@pytest.fixture
def scanner(started_scanner: ScanServer, monkeypatch: pytest.MonkeyPatch) -> ScanServer:
    started_scanner.requests.clear()
    started_scanner.decide = lambda _: UNDECIDED
    monkeypatch.setattr(retry_policy, "_OUTAGE_BACKOFF_SECONDS", 1)
    return started_scanner


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["embedded", "aws"])
async def scanned(
    request: pytest.FixtureRequest, started_scanner: ScanServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    folder, changes = tmp_path_factory.mktemp("data"), {"scan_url": started_scanner.url, "webhook_allow_private": True}
    if request.param == "embedded":
        settings = embedded_settings(folder, **changes)
    else:
        # The workers of other tests have other settings, and would take jobs from a shared queue.
        aws = request.getfixturevalue("aws").deployed_for("scanning")
        settings = aws_settings(folder, aws, **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "_DISPATCH_SECONDS", 0.5)
        async with running(settings, with_worker=True) as opened:
            yield opened


async def wait_for_status(person: Person, image_id: str, status: str) -> dict[str, Any]:
    while (view := (await person.get(f"/images/{image_id}")).json())["status"] != status:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.05)
    return dict(view)


async def fetched(service: Service, url: str) -> httpx.Response:
    """Fetch the URL that the scanner got: from the store, or from this service, which has no port here."""
    if service.settings.storage == "s3":
        return await service.fetch(url)
    return await service.client.get(httpx.URL(url).raw_path.decode())


async def test_an_image_is_pending_until_it_is_accepted(scanned: Service, scanner: ScanServer):
    person = await scanned.person()
    response = await person.upload(PHOTO)
    assert response.status_code == 202
    view = response.json()
    urls = [
        view["original_url"],
        view["thumbnail_url"],
        view["urls_expire_at"],
        *(t["url"] for t in view["thumbnails"]),
    ]
    assert (view["status"], set(urls)) == ("pending", {None})
    path = f"/images/{view['id']}"
    for refused in (
        await person.get(f"{path}/file"),
        await person.get(f"{path}/thumbnails"),
        await person.get(f"{path}/thumbnails/200"),
        await person.post(f"{path}/thumbnails"),
    ):
        assert code(refused) == (409, "image_pending")
    while len(scanner.requests) < 2:  # noqa: ASYNC110 - a failed scan is repeated
        await asyncio.sleep(0.05)
    assert (await person.get(path)).json()["status"] == "pending"
    scanner.decide = lambda _: ACCEPT
    await wait_for_status(person, view["id"], "ready")
    request = scanner.requests[0]
    assert (request["image_id"], request["content_type"]) == (view["id"], "image/jpeg")
    assert (request["size"], request["sha256"]) == (len(PHOTO), view["sha256"])
    assert (await fetched(scanned, scanner.requests[-1]["url"])).content == PHOTO
    while (view := (await person.get(path)).json())["placeholder"] is None:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.05)
    assert (await scanned.fetch(view["original_url"])).content == PHOTO
    assert (await person.get(f"{path}/file")).status_code == 307


async def test_a_pending_image_is_not_rendered(scanned: Service, scanner: ScanServer):
    """A scan job adds the rendering job first. Its message may be sent before the image is accepted."""
    person = await scanned.person()
    view = (await person.upload(PHOTO)).json()
    jobs = scanned.services.jobs
    job = await jobs.add(User(person.tokens["user"]["id"]), "render", image_id=view["id"])
    await jobs.send(job)
    while (await person.get(f"/jobs/{job.id}")).json()["status"] != "completed":  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.05)
    view = (await person.get(f"/images/{view['id']}")).json()
    assert {thumbnail["status"] for thumbnail in view["thumbnails"]} == {"pending"}
    scanner.decide = lambda _: ACCEPT
    await wait_for_status(person, view["id"], "ready")


async def test_a_rejected_image_is_removed_and_reported(scanned: Service, scanner: ScanServer):
    with webhook_receiver() as receiver:
        endpoint = await scanned.services.webhooks.create(receiver.url, list(EventType))
        receiver.secrets.append(endpoint.secret)
        scanned.services.uploads._events._wanted_until = 0.0
        person = await scanned.person()
        view = (await person.upload(PHOTO)).json()
        scanner.decide = lambda _: (200, {"verdict": "reject", "reason": "Eicar-Test-Signature"})
        while (await person.get(f"/images/{view['id']}")).status_code != 404:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)
        while not {"image.failed", "job.failed"} <= {r.body["type"] for r in receiver.delivered()}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        data = {r.body["type"]: r.body["data"] for r in receiver.delivered()}
        assert data["image.failed"]["image_id"] == view["id"]
        assert data["image.failed"]["reason"] == "Eicar-Test-Signature"
        assert data["job.failed"]["kind"] == "scan"
        assert data["job.failed"]["error"]["code"] == "scan_rejected"
        assert view["id"] not in [r.body["data"]["image_id"] for r in receiver.delivered("image.ready")]
        await scanned.services.webhooks.remove(endpoint.id)
    assert (await person.get("/images")).json()["items"] == []
    assert (await person.get("/auth/me")).json()["usage"]["images"] == 0
    folder = f"images/{person.tokens['user']['id']}/"
    assert [stored.key async for stored in scanned.services.library._store.walk(folder)] == []


async def test_a_direct_upload_is_pending_and_counts_once(scanned: Service, scanner: ScanServer):
    person = await scanned.person()
    opened = await announce(person, PHOTO)
    assert (await put(scanned, opened, PHOTO)).status_code in (200, 204)
    response = await complete(person, opened)
    assert (response.status_code, response.json()["status"]) == (202, "pending")
    usage = (await person.get("/auth/me")).json()["usage"]
    assert (usage["images"], usage["bytes"]) == (1, len(PHOTO))
    scanner.decide = lambda _: ACCEPT
    await wait_for_status(person, response.json()["id"], "ready")
    assert (await complete(person, opened)).json()["status"] == "ready"


async def test_an_export_leaves_out_pending_images(scanned: Service, scanner: ScanServer):
    person = await scanned.person()
    view = (await person.upload(PHOTO)).json()
    job_id = (await person.post("/auth/me/export")).json()["job_id"]
    while (job := (await person.get(f"/jobs/{job_id}")).json())["status"] != "completed":  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.05)
    archive = zipfile.ZipFile(BytesIO((await scanned.fetch(job["result"]["url"])).content))
    metadata = json.loads(archive.read("metadata.json"))
    assert archive.namelist() == ["metadata.json"]
    assert [left_out["id"] for left_out in metadata["left_out"]] == [view["id"]]
    scanner.decide = lambda _: ACCEPT
    await wait_for_status(person, view["id"], "ready")


async def test_pending_images_cannot_be_downloaded_together(scanned: Service, scanner: ScanServer):
    person = await scanned.person()
    view = (await person.upload(PHOTO)).json()
    asked = (await person.request("POST", "/images/download", json={"image_ids": [view["id"]]})).json()
    while not (job := (await person.get(f"/jobs/{asked['job_id']}")).json())["finished_at"]:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.05)
    assert (job["status"], job["error"]["code"]) == ("failed", "image_missing")
    scanner.decide = lambda _: ACCEPT
    await wait_for_status(person, view["id"], "ready")
