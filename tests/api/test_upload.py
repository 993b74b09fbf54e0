from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.api.middleware import BodyDeadline
from app.common.temp_files import TempFiles
from app.domain.ids import is_id
from tests.api.conftest import Person, Service, aws_settings, embedded_settings, running
from tests.aws_emulators import AwsEmulator, skip_where_transactions_are_slow
from tests.pictures import jpeg, transparent_png

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOUNDARY = "frontier"


async def stored_keys(service: Service, user_id: str) -> list[str]:
    return await service.keys(f"images/{user_id}/")


def part(name: str, content: bytes, *, filename: str | None = None, extra: str = "") -> bytes:
    shown = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{shown}\r\n{extra}\r\n'
    return head.encode() + content + b"\r\n"


async def send_form(person: Person, *parts: bytes, end: bytes = f"--{BOUNDARY}--\r\n".encode()) -> Any:
    return await person.request(
        "POST",
        "/images/upload",
        content=b"".join(parts) + end,
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
    )


async def test_upload_returns_the_metadata_and_urls_of_the_image(both: Service):
    person = await both.person()
    photo = jpeg(1600, 1200)
    began = datetime.now(UTC)
    response = await person.upload(photo, filename="beach.jpg", description="At the sea")
    assert response.status_code == 201, response.text
    view = response.json()
    assert is_id(view["id"])
    assert (view["filename"], view["description"]) == ("beach.jpg", "At the sea")
    assert (view["content_type"], view["size"], view["width"], view["height"]) == ("image/jpeg", len(photo), 1600, 1200)
    assert view["sha256"] == hashlib.sha256(photo).hexdigest()
    assert view["source"] is None
    assert view["placeholder"]
    assert datetime.fromisoformat(view["urls_expire_at"]) >= began + timedelta(hours=1)
    assert view["thumbnail_url"] == view["thumbnails"][0]["url"]
    sizes = [(t["size"], t["status"], t["width"], t["height"]) for t in view["thumbnails"]]
    assert sizes == [(200, "ready", 200, 150), (500, "ready", 500, 375), (800, "ready", 800, 600)]
    assert (await both.fetch(view["original_url"])).content == photo


async def test_every_url_returns_the_described_image(both: Service):
    person = await both.person()
    view = (await person.upload(transparent_png())).json()
    for thumbnail in view["thumbnails"]:
        response = await both.fetch(thumbnail["url"])
        assert response.headers["content-type"] == "image/webp"
        assert response.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert len(response.content) == thumbnail["bytes"]
        with Image.open(io.BytesIO(response.content)) as shown:
            assert shown.size == (thumbnail["width"], thumbnail["height"])
            assert shown.mode == "RGBA"
    original = await both.fetch(view["original_url"])
    assert original.headers["content-type"] == "image/png"


async def test_url_is_identical_in_repeated_responses(both: Service):
    person = await both.person()
    first = (await person.upload()).json()
    again = (await person.get(f"/images/{first['id']}")).json()
    if (
        again["urls_expire_at"] == first["urls_expire_at"]
    ):  # both responses were signed in the same window, which is nearly always true
        assert again == first


async def test_file_larger_than_eight_mebibytes_is_stored_completely(both: Service):
    person = await both.person()
    # Bytes after the end of a JPEG do not belong to the picture, but the original must contain them.
    photo = jpeg(400, 300) + hashlib.shake_256(b"noise").digest(9 * 1024 * 1024)
    view = (await person.upload(photo)).json()
    assert hashlib.sha256((await both.fetch(view["original_url"])).content).hexdigest() == view["sha256"]
    assert view["sha256"] == hashlib.sha256(photo).hexdigest()


async def body(*chunks: bytes, repeat: int = 1) -> AsyncIterator[bytes]:
    """Yield the chunks; the last one is repeated `repeat` times."""
    for chunk in [*chunks[:-1], *[chunks[-1]] * repeat]:
        yield chunk


@pytest.fixture
def bytes_read(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    """Return how many bytes of the body the test's only request read, without those discarded after the response."""
    caplog.set_level(logging.INFO)

    def read() -> int:
        lines = [r.msg for r in caplog.records if isinstance(r.msg, dict) and r.msg["event"] == "request.completed"]
        assert len(lines) == 1
        number: int = lines[0]["bytes_in"]
        return number

    return read


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic dXNlcjpwYXNz"])
async def test_body_is_not_read_without_a_token(
    service: Service, bytes_read: Callable[[], int], authorization: str | None
):
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    if authorization:
        headers["Authorization"] = authorization
    content = body(bytes(16 * 1024), repeat=320)
    response = await service.client.post("/api/v1/images/upload", content=content, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["connection"] == "close"
    assert bytes_read() == 0


async def test_reading_stops_at_the_limit_regardless_of_content_length(
    service: Service, person: Person, bytes_read: Callable[[], int]
):
    limit = service.settings.max_file_size
    head = part("file", b"", filename="a.jpg")[:-2] + jpeg(64, 64)
    content = body(head, bytes(64 * 1024), repeat=4 * limit // (64 * 1024))
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": "1000"}
    response = await person.request("POST", "/images/upload", content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "upload_too_large")
    assert bytes_read() <= limit + 128 * 1024
    assert await stored_keys(service, person.tokens["user"]["id"]) == []


async def test_content_length_over_the_limit_is_rejected_before_the_body_is_read(
    person: Person, bytes_read: Callable[[], int]
):
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(1 << 40)}
    response = await person.request("POST", "/images/upload", content=body(bytes(16)), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "upload_too_large")
    assert bytes_read() == 0


async def test_file_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not(service: Service, person: Person):
    photo = jpeg(64, 64)
    full = photo + bytes(service.settings.max_file_size - len(photo))
    assert (await person.upload(full)).status_code == 201
    response = await person.upload(full + b"x")
    assert (response.status_code, response.json()["code"]) == (413, "upload_too_large")


async def test_file_that_is_not_an_image_is_rejected_with_its_type(person: Person):
    response = await person.upload(b"%PDF-1.7 " + bytes(8192))
    assert (response.status_code, response.json()["code"]) == (415, "format_unsupported")
    assert "PDF" in response.json()["detail"]
    assert "JPEG" in response.json()["detail"]


@pytest.mark.parametrize("more, status", [(0, 415), (1, 413), (100_000, 413)])
async def test_too_large_file_is_rejected_for_its_size_regardless_of_its_type(
    service: Service, person: Person, more: int, status: int
):
    data = b"%PDF-1.7 ".ljust(service.settings.max_file_size + more)
    assert (await person.upload(data)).status_code == status
    form = part("file", data, filename="a.jpg") + f"--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    content = body(*(form[at : at + 65_536] for at in range(0, len(form), 65_536)))
    response = await person.request("POST", "/images/upload", content=content, headers=headers)
    assert response.status_code == status


async def test_long_filename_is_truncated(person: Person):
    response = await person.upload(filename="n" * 8000 + ".jpg")
    assert response.status_code == 201
    assert len(response.json()["filename"]) == 255
    changed = {"filename": "m" * 8000}
    response = await person.request("PATCH", f"/images/{response.json()['id']}", json=changed)
    assert len(response.json()["filename"]) == 255


@pytest.mark.parametrize(
    "parts, status, code",
    [
        ([part("file", b"", filename="")], 422, "file_empty"),
        ([part("file", b"", filename="a.png")], 422, "file_empty"),
        ([part("photo", jpeg(), filename="a.jpg")], 422, "file_missing"),
        ([part("description", b"only words")], 422, "file_missing"),
        ([part("file", jpeg(), filename="a.jpg"), part("file", jpeg(), filename="b.jpg")], 422, "file_repeated"),
        ([part("file", jpeg(), filename="a.jpg"), part("description", b"\xff")], 422, "request_invalid"),
        ([part("file", jpeg(), filename="a.jpg"), part("description", b"x" * 2001)], 422, "request_invalid"),
        (
            [part("file", b"QUJD", filename="a", extra="Content-Transfer-Encoding: base64\r\n")],
            400,
            "multipart_invalid",
        ),
        ([part("x", b"")] * 40, 400, "multipart_invalid"),
        ([part("x", b"y" * (64 * 1024 + 1)), part("file", jpeg(), filename="a.jpg")], 400, "multipart_invalid"),
        ([b"no part at all"], 400, "multipart_invalid"),
        ([f"--{BOUNDARY}\r\n\r\nnameless\r\n".encode()], 400, "multipart_invalid"),
        ([part("file", b"x" * 100, filename="a.jpg")], 415, "format_unsupported"),
        ([part("file", jpeg()[:2000], filename="a.jpg")], 422, "image_corrupt"),
    ],
)
async def test_each_invalid_form_has_its_own_error_code(person: Person, parts: list[bytes], status: int, code: str):
    response = await send_form(person, *parts)
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_truncated_form_is_rejected(service: Service, person: Person):
    response = await send_form(person, part("file", jpeg(), filename="a.jpg"), end=b"")
    assert (response.status_code, response.json()["code"]) == (400, "multipart_invalid")
    assert await stored_keys(service, person.tokens["user"]["id"]) == []


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "multipart/form-data; boundary="])
async def test_another_content_type_is_refused(person: Person, content_type: str):
    headers = {"Content-Type": content_type}
    response = await person.request("POST", "/images/upload", content=jpeg(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "multipart_required")


async def test_form_can_arrive_byte_by_byte(person: Person):
    photo = jpeg(32, 32)
    form = part("description", "Grüße".encode()) + part("file", photo, filename="ü.jpg")
    content = body(*[bytes([byte]) for byte in form + f"--{BOUNDARY}--".encode()])
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    response = await person.request("POST", "/images/upload", content=content, headers=headers)
    assert response.status_code == 201, response.text
    view = response.json()
    assert (view["description"], view["filename"], view["size"]) == ("Grüße", "ü.jpg", len(photo))


async def test_file_part_without_a_filename_is_named_upload(person: Person):
    response = await send_form(person, part("file", jpeg()))
    assert (response.status_code, response.json()["filename"]) == (201, "upload")


async def test_content_decides_the_type_regardless_of_the_declared_type(person: Person):
    response = await person.upload(transparent_png(), filename="picture.jpg")
    assert response.json()["content_type"] == "image/png"


async def test_rejected_image_leaves_nothing(both: Service):
    person = await both.person()
    response = await person.upload(jpeg(800, 600)[:-2000])
    assert (response.status_code, response.json()["code"]) == (422, "image_corrupt")
    assert await stored_keys(both, person.tokens["user"]["id"]) == []
    assert (await person.get("/images")).json()["items"] == []


async def test_stalled_upload_times_out(tmp_path: Path):
    async def stalling() -> AsyncIterator[bytes]:
        yield part("file", jpeg(), filename="a.jpg")[:500]
        await asyncio.sleep(20)

    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    deadline = BodyDeadline(grace_seconds=2)
    async with running(embedded_settings(tmp_path, render_processes=1), body_deadline=deadline) as service:
        person = await service.person()
        response = await person.request("POST", "/images/upload", content=stalling(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (408, "body_too_slow")


async def test_full_disk_returns_503(service: Service, person: Person, monkeypatch: pytest.MonkeyPatch):
    full = Path("/dev/full")
    monkeypatch.setattr(TempFiles, "_open", lambda _: full.open("wb", buffering=0))
    response = await person.upload()
    assert (response.status_code, response.json()["code"]) == (503, "dependency_unavailable")
    assert await stored_keys(service, person.tokens["user"]["id"]) == []


async def test_disconnected_client_leaves_nothing(service: Service, person: Person):
    form = part("file", jpeg(), filename="a.jpg")
    messages = iter([{"type": "http.request", "body": form, "more_body": True}, {"type": "http.disconnect"}])
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/images/upload",
        "query_string": b"",
        "headers": [
            (b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode()),
            (b"authorization", person.headers["Authorization"].encode()),
        ],
        "app": service.app,
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    await service.app(scope, receive, send)
    assert sent == []
    assert await stored_keys(service, person.tokens["user"]["id"]) == []
    assert list(service.services.temp_files._folder.iterdir()) == []


@pytest.mark.parametrize("backend", ["embedded", "aws"])
async def test_quota_of_ten_accepts_ten_of_a_hundred_concurrent_uploads(aws: AwsEmulator, tmp_path: Path, backend: str):
    if backend == "aws":
        skip_where_transactions_are_slow(aws)
    # One renderer would refuse some of a hundred concurrent images.
    quota = {"user_quota_images": 10, "render_processes": 2}
    settings = embedded_settings(tmp_path, **quota) if backend == "embedded" else aws_settings(tmp_path, aws, **quota)
    async with running(settings) as service:
        person = await service.person()
        photo = jpeg(64, 64)
        responses = await asyncio.gather(*(person.upload(photo) for _ in range(100)))
        outcomes = sorted(response.status_code for response in responses)
        assert outcomes == [201] * 10 + [403] * 90
        assert {r.json()["code"] for r in responses if r.status_code == 403} == {"quota_exceeded"}
        assert len((await person.get("/images")).json()["items"]) == 10
        assert len(await stored_keys(service, person.tokens["user"]["id"])) == 50
        me = (await person.get("/auth/me")).json()
        limit = {"images": 10, "bytes": None}
        assert me["usage"] == {"images": 10, "bytes": 10 * len(photo), "reserved_bytes": 0, "limit": limit}


async def test_byte_quota_is_exact(tmp_path: Path):
    photo = jpeg(64, 64)
    async with running(embedded_settings(tmp_path, user_quota_bytes=2 * len(photo))) as service:
        person = await service.person()
        assert [(await person.upload(photo)).status_code for _ in range(3)] == [201, 201, 403]


async def test_full_render_queue_returns_an_error_immediately(tmp_path: Path):
    # The queue is full with one running and 64 waiting images.
    async with running(embedded_settings(tmp_path, render_processes=1)) as service:
        await fill_the_render_queue(service)


async def fill_the_render_queue(service: Service) -> None:
    person = await service.person()
    photo = jpeg(1000, 800)
    responses = await asyncio.gather(*(person.upload(photo) for _ in range(100)))
    refused = [response for response in responses if response.status_code == 503]
    assert {response.status_code for response in responses} == {201, 503}
    assert {response.json()["code"] for response in refused} == {"overloaded"}
    assert all(int(response.headers["retry-after"]) > 0 for response in refused)
    accepted = len(responses) - len(refused)
    assert len(await stored_keys(service, person.tokens["user"]["id"])) == 5 * accepted
