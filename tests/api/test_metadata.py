"""Tests of the metadata of images, over HTTP."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Person, Service, embedded_settings, running
from tests.api.test_direct_uploads import put
from tests.exif_data import exif
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")


def photo() -> bytes:
    return jpeg(40, 30, exif=exif().tobytes())


async def test_metadata_of_the_file_are_in_the_view(both: Service):
    person = await both.person()
    uploaded = (await person.upload(photo())).json()
    metadata = uploaded["metadata"]
    assert (metadata["taken_at"], metadata["taken_offset"]) == ("2026-07-14T18:03:22.120", "+02:00")
    assert (metadata["camera_make"], metadata["exposure_seconds"], metadata["orientation"]) == ("Canon", 0.008, 6)
    assert metadata["position"] is None
    assert (await person.get(f"/images/{uploaded['id']}")).json()["metadata"] == metadata


async def test_metadata_are_read_although_the_thumbnails_are_rendered_later(both: Service):
    person = await both.person()
    response = await person.post("/images/upload", files={"file": photo()}, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.json()["metadata"]["taken_at"] == "2026-07-14T18:03:22.120"


async def test_file_without_metadata_has_empty_metadata(both: Service):
    person = await both.person()
    assert set((await person.upload(jpeg(20, 20))).json()["metadata"].values()) == {None}


async def test_position_is_kept_if_the_service_is_configured_so(tmp_path: Path):
    async with running(embedded_settings(tmp_path, keep_location=True)) as service:
        person = await service.person()
        position = (await person.upload(photo())).json()["metadata"]["position"]
        assert (position["latitude"], position["altitude"]) == (-33.856784, -3.5)


PAIRS = {"album": "Sommer 🌞", "json": '{"a":\n 1}', " spaces ": " kept "}


async def test_custom_metadata_are_set_by_a_form(both: Service):
    person = await both.person()
    view = (await person.upload(custom_metadata=json.dumps(PAIRS))).json()
    assert view["custom_metadata"] == PAIRS
    assert (await person.get(f"/images/{view['id']}")).json()["custom_metadata"] == PAIRS
    assert (await person.upload()).json()["custom_metadata"] == {}


async def test_custom_metadata_are_set_by_a_query(person: Person):
    query = {"custom_metadata": json.dumps(PAIRS)}
    response = await person.post("/images/upload", params=query, content=jpeg(), headers={"Content-Type": "image/jpeg"})
    assert response.json()["custom_metadata"] == PAIRS


async def test_custom_metadata_are_set_by_a_resumable_upload(both: Service):
    person, data = await both.person(), jpeg(24, 24)
    encoded = base64.b64encode(json.dumps(PAIRS).encode()).decode()
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(data)),
        "Upload-Metadata": f"custom_metadata {encoded}",
        "Content-Type": "application/offset+octet-stream",
    }
    created = await person.post("/images/tus", headers=headers, content=data)
    assert created.status_code == 201
    image_id = created.headers["Location"].rpartition("/")[2]
    assert (await person.get(f"/images/{image_id}")).json()["custom_metadata"] == PAIRS


async def test_custom_metadata_are_set_by_a_direct_upload(both: Service):
    person, data = await both.person(), jpeg(24, 24)
    body = {"filename": "a.jpg", "size": len(data), "custom_metadata": PAIRS}
    upload = (await person.post("/images/uploads", json=body)).json()
    assert (await put(both, upload, data)).status_code == 200
    image = (await person.post(f"/images/uploads/{upload['upload_id']}/complete")).json()
    assert image["custom_metadata"] == PAIRS


async def test_patch_replaces_and_removes_custom_metadata(both: Service):
    person = await both.person()
    view = (await person.upload(custom_metadata=json.dumps(PAIRS), description="At the sea")).json()
    path = f"/images/{view['id']}"
    replaced = (await person.request("PATCH", path, json={"custom_metadata": {"b": "2"}})).json()
    assert (replaced["custom_metadata"], replaced["description"]) == ({"b": "2"}, "At the sea")
    renamed = (await person.request("PATCH", path, json={"filename": "b.jpg"})).json()
    assert renamed["custom_metadata"] == {"b": "2"}
    removed = (await person.request("PATCH", path, json={"custom_metadata": None})).json()
    assert removed["custom_metadata"] == {}
    assert (await person.get(path)).json() == removed


@pytest.mark.parametrize(
    "pairs, field",
    [
        ({str(n): "" for n in range(21)}, "custom_metadata"),
        ({"": "x"}, "custom_metadata"),
        ({"k" * 65: "x"}, "custom_metadata"),
        ({"k": "v" * 513}, "custom_metadata.k"),
        ({"k": 1}, "custom_metadata.k"),
        ({"k": None}, "custom_metadata.k"),
        ({"k": "\0"}, "custom_metadata.k"),
        ({"k\x1b": "x"}, "custom_metadata"),
        (["k"], "custom_metadata"),
        ("k", "custom_metadata"),
    ],
)
async def test_invalid_custom_metadata_are_refused(person: Person, pairs: Any, field: str):
    view = (await person.upload()).json()
    responses = {
        "body": await person.upload(custom_metadata=json.dumps(pairs)),
        "query": await person.post("/images/upload", params={"custom_metadata": json.dumps(pairs)}, content=jpeg()),
    }
    patched = await person.request("PATCH", f"/images/{view['id']}", json={"custom_metadata": pairs})
    for place, response in (*responses.items(), ("body", patched)):
        assert (response.status_code, response.json()["code"]) == (422, "request_invalid")
        assert response.json()["errors"][0]["field"].startswith(f"{place}.{field}")


async def test_custom_metadata_of_the_maximum_size_are_accepted(person: Person):
    pairs = {f"{n:02}" + "ü" * 62: "🌞" * 512 for n in range(20)}
    view = (await person.upload(custom_metadata=json.dumps(pairs, ensure_ascii=False))).json()
    assert view["custom_metadata"] == pairs
