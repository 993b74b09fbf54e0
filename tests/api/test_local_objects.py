from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.api.conftest import Person, Service
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHOTO = jpeg(120, 90)


@pytest_asyncio.fixture(loop_scope="session")
async def url(person: Person) -> str:
    return str((await person.upload(PHOTO)).json()["original_url"])


async def test_object_is_served_with_protective_headers(service: Service, url: str):
    response = await service.fetch(url)
    assert response.content == PHOTO
    headers = response.headers
    assert headers["content-type"] == "image/jpeg"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert headers["content-disposition"] == "inline"
    assert headers["cache-control"] == "private, max-age=31536000, immutable"
    assert re.fullmatch(r'"[^"]+"', headers["etag"])
    head = await service.client.head(url)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(PHOTO)))


@pytest.mark.parametrize(
    "asked, status, expected",
    [
        ("bytes=0-0", 206, PHOTO[:1]),
        ("bytes=10-", 206, PHOTO[10:]),
        ("bytes=-7", 206, PHOTO[-7:]),
        ("bytes=5-9999999", 206, PHOTO[5:]),
        ("bytes=-9999999", 206, PHOTO),
        ("bytes=9-5", 200, PHOTO),
        ("bytes=-", 200, PHOTO),
        ("bytes=0-1,4-5", 200, PHOTO),
        ("lines=1-2", 200, PHOTO),
        (f"bytes={'9' * 5000}-", 200, PHOTO),
    ],
)
async def test_ranges(service: Service, url: str, asked: str, status: int, expected: bytes):
    response = await service.fetch(url, headers={"Range": asked})
    assert (response.status_code, response.content) == (status, expected)


@pytest.mark.parametrize("asked", ["bytes=9999999-", "bytes=-0"])
async def test_range_past_the_end_returns_416_with_the_size(service: Service, url: str, asked: str):
    response = await service.fetch(url, headers={"Range": asked})
    assert (response.status_code, response.json()["code"]) == (416, "range_unsatisfiable")
    assert response.headers["content-range"] == f"bytes */{len(PHOTO)}"


async def test_unchanged_object_returns_304(service: Service, url: str):
    etag = (await service.fetch(url)).headers["etag"]
    for condition in (etag, f'"other", W/{etag}'):
        response = await service.fetch(url, headers={"If-None-Match": condition})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    assert (await service.fetch(url, headers={"If-None-Match": '"other"'})).status_code == 200
    assert (await service.fetch(url, headers={"If-None-Match": "*"})).status_code == 304
    for asked in ("bytes=0-1", "bytes=9999999-"):
        whole = await service.fetch(url, headers={"Range": asked, "If-Range": '"other"'})
        assert (whole.status_code, whole.content) == (200, PHOTO)
    part = await service.fetch(url, headers={"Range": "bytes=0-1", "If-Range": etag})
    assert (part.status_code, part.content) == (206, PHOTO[:2])
    assert (await service.client.head(url, headers={"Range": "bytes=0-1"})).status_code == 200


async def test_object_deleted_during_the_request_is_missing(
    service: Service, url: str, monkeypatch: pytest.MonkeyPatch
):
    objects: Any = service.services.local_objects
    opened = objects.open_signed

    async def open_and_delete(key: str, **arguments: Any) -> Any:
        found = await opened(key, **arguments)
        await objects.delete([key])
        return found

    monkeypatch.setattr(objects, "open_signed", open_and_delete)
    response = await service.fetch(url)
    assert (response.status_code, response.json()["code"]) == (404, "object_missing")


async def test_changed_url_is_rejected(service: Service, url: str):
    parts = httpx.URL(url)
    changed = [
        parts.copy_set_param("expires", int(parts.params["expires"]) + 1),
        parts.copy_set_param("signature", "A" * 22),
        parts.copy_set_param("expires", parts.params["expires"] + "\u00e9"),
        parts.copy_remove_param("signature"),
        parts.copy_with(query=None),
        parts.copy_add_param("filename", "evil.html"),
        parts.copy_with(path=parts.path.replace("original.jpg", "200.jpg")),
        parts.copy_with(raw_path=parts.raw_path.replace(b"original.jpg", b"..%2f..%2f..%2fsecret")),
    ]
    for one in changed:
        response = await service.fetch(str(one))
        assert (response.status_code, response.json()["code"]) == (403, "url_invalid"), one


async def test_url_works_behind_a_path_prefix(service: Service, person: Person):
    transport = httpx.ASGITransport(app=service.app, root_path="/photos")
    async with httpx.AsyncClient(transport=transport, base_url="https://example.org") as client:
        listed = await client.get("/photos/api/v1/images", headers=person.headers)
        assert listed.status_code == 200
        files = {"file": ("a.jpg", PHOTO)}
        view = (await client.post("/photos/api/v1/images/upload", files=files, headers=person.headers)).json()
        assert view["original_url"].startswith("https://example.org/photos/api/v1/objects/")
        assert (await client.get(view["original_url"])).content == PHOTO
