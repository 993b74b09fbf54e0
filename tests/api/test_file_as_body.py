"""`POST /images/upload` with the file itself as the body."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import Person, Service
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHOTO = jpeg()


async def send(person: Person, data: bytes = PHOTO, query: str = "", **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await person.post(f"/images/upload{query}", content=data, headers=names)


@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "IMAGE/PNG; a=b", "application/octet-stream", "image/x-any", ""]
)
async def test_the_content_decides_whatever_type_is_declared(both: Service, content_type: str):
    person = await both.person()
    response = await send(person, Content_Type=content_type)
    assert response.status_code == 201, response.text
    view = response.json()
    assert (view["content_type"], view["size"]) == ("image/jpeg", len(PHOTO))
    assert (await both.fetch(view["original_url"])).content == PHOTO


async def test_a_body_without_a_type_is_a_file(person: Person):
    request = person.client.build_request("POST", "/api/v1/images/upload", content=PHOTO, headers=person.headers)
    assert "content-type" not in request.headers
    assert (await person.client.send(request)).status_code == 201


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "video/mp4"]
)
async def test_other_types_are_refused(person: Person, content_type: str):
    response = await send(person, Content_Type=content_type)
    assert (response.status_code, response.json()["code"]) == (415, "multipart_required")
    assert "application/octet-stream" in response.json()["detail"]


@pytest.mark.parametrize(
    "query, disposition, filename",
    [
        ("", None, "upload"),
        ("?filename=beach.jpg", None, "beach.jpg"),
        ("?filename=Stra%C3%9Fe%20%E2%98%80.jpg", None, "Straße ☀.jpg"),
        ("?filename=../../etc/passwd", None, "passwd"),
        ("?filename=query.jpg", 'attachment; filename="header.jpg"', "header.jpg"),
        ("?filename=query.jpg", "attachment", "query.jpg"),
        ("", "attachment; filename=\"fallback.jpg\"; filename*=UTF-8''Stra%C3%9Fe.jpg", "Straße.jpg"),
        ("", "inline; filename*=UTF-8''a%2Fb.jpg", "b.jpg"),
    ],
)
async def test_the_filename_comes_from_the_header_or_the_query(
    person: Person, query: str, disposition: str | None, filename: str
):
    headers = {"Content-Disposition": disposition} if disposition else {}
    response = await person.post(f"/images/upload{query}", content=PHOTO, headers=headers)
    assert (response.status_code, response.json()["filename"]) == (201, filename)


async def test_the_description_comes_from_the_query(person: Person):
    view = (await send(person, query="?description=At%20the%20sea%20%F0%9F%8C%8A", Content_Type="image/jpeg")).json()
    assert view["description"] == "At the sea 🌊"
    response = await send(person, query=f"?description={'x' * 2001}", Content_Type="image/jpeg")
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")
    assert response.json()["errors"][0]["field"] == "query.description"


async def test_a_chunked_body_without_a_length(person: Person):
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(PHOTO), 1000):
            yield PHOTO[start : start + 1000]

    response = await person.post("/images/upload", content=chunks(), headers={"Content-Type": "image/jpeg"})
    assert (response.status_code, response.json()["sha256"]) == (201, hashlib.sha256(PHOTO).hexdigest())


async def test_the_headers_of_a_background_session_of_ios(person: Person):
    headers = {
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate, br",
        "Accept-Language": "de-DE,de;q=0.9",
        "Content-Type": "application/octet-stream",
        "Priority": "u=3, i",
        "Upload-Complete": "?1",
        "Upload-Draft-Interop-Version": "6",
        "User-Agent": "Photos/1 CFNetwork/1568.200.51 Darwin/24.1.0",
    }
    response = await person.post("/images/upload?filename=IMG_0001.HEIC", content=PHOTO, headers=headers)
    assert (response.status_code, response.json()["filename"]) == (201, "IMG_0001.HEIC")


@pytest.mark.parametrize(
    "data, status, code",
    [
        (b"", 422, "file_empty"),
        (b"%PDF-1.7 " + bytes(500), 415, "format_unsupported"),
        (PHOTO[:2000], 422, "image_corrupt"),
        (PHOTO + bytes(10 * 1024 * 1024), 413, "upload_too_large"),
    ],
)
async def test_the_errors_are_those_of_a_form(person: Person, data: bytes, status: int, code: str):
    response = await send(person, data, Content_Type="image/jpeg")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert (await person.get("/images")).json()["items"] == []


async def test_a_digest_is_verified(person: Person):
    def digest(data: bytes) -> str:
        return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"

    assert (await send(person, Content_Type="image/jpeg", Content_Digest=digest(PHOTO))).status_code == 201
    response = await send(person, Content_Type="image/jpeg", Content_Digest=digest(b"other"))
    assert (response.status_code, response.json()["code"]) == (400, "digest_mismatch")


async def test_a_retry_as_a_form_with_the_same_key_is_the_same_image(both: Service):
    person = await both.person()
    first = await send(person, Content_Type="image/jpeg", Idempotency_Key="key")
    again = await send(person, Content_Type="image/jpeg", Idempotency_Key="key")
    files = {"file": ("a.jpg", PHOTO)}
    form = await person.post("/images/upload", files=files, headers={"Idempotency-Key": "key"})
    assert first.json()["id"] == again.json()["id"] == form.json()["id"]


async def test_prefer_is_respected(both: Service):
    person = await both.person()
    response = await send(person, Content_Type="image/jpeg", Prefer="respond-async")
    assert (response.status_code, response.headers["Preference-Applied"]) == (202, "respond-async")


async def test_it_needs_a_token(service: Service):
    response = await service.client.post("/api/v1/images/upload", content=PHOTO, headers={"Content-Type": "image/jpeg"})
    assert (response.status_code, response.json()["code"]) == (401, "token_missing")


async def test_the_description_of_the_api_has_both_bodies(service: Service):
    upload: dict[str, Any] = service.app.openapi()["paths"]["/api/v1/images/upload"]["post"]
    assert set(upload["requestBody"]["content"]) == {"multipart/form-data", "application/octet-stream"}
    names = {(parameter["in"], parameter["name"]) for parameter in upload["parameters"]}
    assert {("query", "filename"), ("query", "description"), ("header", "Idempotency-Key")} <= names
