"""Originals that lose metadata before they are stored, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import io
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import ExifTags, Image

from tests.api.conftest import Service, aws_settings, embedded_settings, running
from tests.api.test_direct_uploads import announce, complete, incoming, send
from tests.api.test_jobs import AGENT, ended, fetch
from tests.aws_emulators import AwsEmulator
from tests.fake_catalog import WITH_IMAGE, Answer, FakeCatalog, image_path
from tests.pictures import jpeg
from tests.stripping_files import PLACE, jpeg_file

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def catalog() -> AsyncIterator[FakeCatalog]:
    async with FakeCatalog() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["embedded", "aws"])
async def stripping(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, catalog: FakeCatalog
) -> AsyncIterator[Service]:
    folder = tmp_path_factory.mktemp("data")
    changes: dict[str, Any] = {
        "strip_originals": "location",
        "keep_location": True,
        "product_catalog_url": catalog.url,
        "product_catalog_user_agent": AGENT,
    }
    if request.param == "embedded":
        settings = embedded_settings(folder, **changes)
    else:
        aws: AwsEmulator = request.getfixturevalue("aws")
        settings = aws_settings(folder, aws, **changes)
    async with running(settings, with_worker=True) as service:
        yield service


async def check(service: Service, view: dict[str, Any], received: bytes) -> bytes:
    """Check the view of an image that lost its position, and return its original."""
    content = (await service.fetch(view["original_url"])).content
    assert PLACE.encode() in received
    assert PLACE.encode() not in content
    assert (view["size"], view["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert view["uploaded_sha256"] == hashlib.sha256(received).hexdigest() != view["sha256"]
    assert view["metadata"]["position"] is None
    assert view["metadata"]["camera_make"] == "Canon"
    return content


async def test_form_loses_its_position_and_is_not_stored_twice(stripping: Service):
    person, data = await stripping.person(), jpeg_file()
    form: dict[str, Any] = {"files": {"file": ("a.jpg", data)}, "headers": {"Idempotency-Key": "one"}}
    view = (await person.post("/images/upload", **form)).json()
    await check(stripping, view, data)
    assert (await person.post("/images/upload", **form)).json()["id"] == view["id"]
    later = await person.post("/images/upload", files={"file": ("a.jpg", data)}, headers={"Prefer": "respond-async"})
    await check(stripping, later.json(), data)


async def test_quota_counts_what_is_stored(stripping: Service):
    person, video = await stripping.person(), b"\0\0\0\x14ftypisom" + bytes(200_000)
    view = (await person.upload(jpeg_file() + video)).json()
    assert view["size"] == len(jpeg_file())
    usage = await stripping.services.library._images.usage(person.tokens["user"]["id"])
    assert usage.bytes == view["size"]


async def test_file_without_metadata_is_stored_as_it_is(stripping: Service):
    person, data = await stripping.person(), jpeg(40, 30)
    view = (await person.upload(data)).json()
    assert view["sha256"] == view["uploaded_sha256"] == hashlib.sha256(data).hexdigest()


async def test_body_with_its_digest_loses_its_position(stripping: Service):
    person, data = await stripping.person(), jpeg_file()
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    headers = {"Content-Type": "image/jpeg", "Content-Digest": f"sha-256=:{digest}:"}
    response = await person.post("/images/upload", content=data, headers=headers)
    assert response.status_code == 201, response.text
    await check(stripping, response.json(), data)


async def test_direct_upload_with_its_checksum_loses_its_position(stripping: Service):
    person, data = await stripping.person(), jpeg_file()
    opened = await announce(person, data, sha256=hashlib.sha256(data).hexdigest())
    assert (await send(stripping, opened, data)).status_code == 204
    view = (await complete(person, opened)).json()
    await check(stripping, view, data)
    assert await incoming(stripping, person) == []
    assert (await complete(person, opened)).json()["id"] == view["id"]


async def test_resumable_upload_loses_its_position(stripping: Service):
    person, data = await stripping.person(), jpeg_file()
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data))}
    created = await person.post("/images/tus", headers=headers)
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
    }
    path = created.headers["Location"].partition("/api/v1")[2]
    sent = await person.request("PATCH", path, headers=headers, content=data)
    assert sent.status_code == 204, sent.text
    image = sent.headers["Content-Location"].partition("/api/v1")[2]
    await check(stripping, (await person.get(image)).json(), data)
    assert await incoming(stripping, person) == []


async def test_file_that_cannot_be_stripped_is_refused(stripping: Service):
    person = await stripping.person()
    handler = b"\0\0\0\x20hdlr" + bytes(8) + b"meta" + bytes(12)
    boxes = b"".join(
        (len(handler) + 24 - i).to_bytes(4, "big") + kind for i, kind in ((0, b"moov"), (8, b"trak"), (16, b"mdia"))
    )
    output = io.BytesIO()
    Image.new("RGB", (20, 20)).save(output, "AVIF")
    response = await person.upload(output.getvalue() + boxes + handler)
    assert (response.status_code, response.json()["code"]) == (422, "image_corrupt")
    assert "metadata cannot be removed" in response.json()["detail"]
    assert (await person.get("/images")).json()["items"] == []


async def test_product_image_loses_its_position(stripping: Service, catalog: FakeCatalog):
    data = jpeg_file()
    for size in ("400", "full"):
        catalog.answers[image_path(WITH_IMAGE, size)] = lambda: Answer(body=data, content_type="image/jpeg")
    person = await stripping.person()
    job = await ended(person, await fetch(person, WITH_IMAGE))
    assert job["status"] == "completed", job
    await check(stripping, (await person.get(f"/images/{job['result']['image_id']}")).json(), data)


async def test_adopted_image_keeps_the_digest_of_its_upload(tmp_path: Path):
    async with running(embedded_settings(tmp_path, strip_originals="location")) as service:
        person = await service.person()
        view = (await person.upload(jpeg_file())).json()
        with sqlite3.connect(tmp_path / "service.db") as database:
            database.execute("DELETE FROM images")
        (candidate,) = [each async for each in service.container.adoption.candidates()]
        assert await service.container.adoption.adopt(candidate) == "adopted"
        adopted = (await person.get(f"/images/{view['id']}")).json()
        names = ("size", "sha256", "uploaded_sha256", "metadata", "filename")
        assert [adopted[name] for name in names] == [view[name] for name in names]


async def test_all_metadata_are_removed(tmp_path: Path):
    async with running(embedded_settings(tmp_path, strip_originals="all")) as service:
        person = await service.person()
        view = (await person.upload(jpeg_file())).json()
        assert {view["metadata"][name] for name in ("camera_make", "taken_at", "position")} == {None}
        with Image.open(io.BytesIO((await service.fetch(view["original_url"])).content)) as image:
            assert dict(image.getexif()) == {ExifTags.Base.Orientation: 6}
