"""Resumable uploads with the tus protocol, on both backends."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from app.common.upload_expiry import UploadExpiry
from app.domain.uploads import MAX_OPEN_UPLOADS
from app.services import resumable_uploads
from tests.api.conftest import BASE_URL, Person, Service
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL = jpeg()
LARGE = jpeg() + hashlib.shake_256(b"noise").digest(17 * 1024 * 1024)
"""More than two parts on each backend."""
TUS = {"Tus-Resumable": "1.0.0"}
OFFSET_STREAM = {"Content-Type": "application/offset+octet-stream"}


def metadata(**values: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())


def checksum(data: bytes) -> dict[str, str]:
    return {"Upload-Checksum": f"sha1 {base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()}"}


@dataclass
class Upload:
    person: Person
    url: str

    @property
    def id(self) -> str:
        return self.url.rpartition("/")[2]

    async def request(self, method: str, **arguments: Any) -> httpx.Response:
        headers = {**self.person.headers, **TUS, **arguments.pop("headers", {})}
        return await self.person.client.request(method, self.url, headers=headers, **arguments)

    async def send(self, data: Any, offset: int, **headers: str) -> httpx.Response:
        sent = {**OFFSET_STREAM, "Upload-Offset": str(offset), **headers}
        return await self.request("PATCH", content=data, headers=sent)

    async def offset(self) -> int:
        response = await self.request("HEAD")
        assert response.status_code == 200, response.text
        return int(response.headers["Upload-Offset"])


async def create(person: Person, size: int, **headers: str) -> httpx.Response:
    return await person.post("/images/tus", headers={**TUS, "Upload-Length": str(size), **headers})


async def begin(person: Person, data: bytes = SMALL, **values: str) -> Upload:
    described = {"Upload-Metadata": metadata(**values)} if values else {}
    response = await create(person, len(data), **described)
    assert response.status_code == 201, response.text
    return Upload(person, response.headers["Location"])


async def reserved(person: Person) -> int:
    count: int = (await person.get("/auth/me")).json()["usage"]["reserved_bytes"]
    return count


async def incoming(service: Service, person: Person) -> list[str]:
    return await service.keys(f"incoming/{person.tokens['user']['id']}/")


async def interrupted(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]
    raise ConnectionError("the connection was cut")


async def test_a_file_in_one_request(both: Service):
    person = await both.person()
    upload = await begin(
        person, filename="Straße.jpg", description="At the sea", sha256=hashlib.sha256(SMALL).hexdigest()
    )
    assert await upload.offset() == 0
    assert await reserved(person) == len(SMALL)
    response = await upload.send(SMALL, 0)
    assert (response.status_code, response.headers["Upload-Offset"]) == (204, str(len(SMALL)))
    assert response.headers["Tus-Resumable"] == "1.0.0"
    assert response.headers["Content-Location"] == f"{BASE_URL}/api/v1/images/{upload.id}"
    view = (await person.get(f"/images/{upload.id}")).json()
    assert (view["filename"], view["description"], view["size"]) == ("Straße.jpg", "At the sea", len(SMALL))
    assert (await both.fetch(view["original_url"])).content == SMALL
    assert await upload.offset() == len(SMALL)
    assert await reserved(person) == 0
    assert await incoming(both, person) == []


async def test_a_file_of_several_parts_in_pieces_of_odd_sizes(both: Service):
    person = await both.person()
    upload = await begin(person, LARGE)
    position = 0
    for length in (1, 5 * 1024 * 1024, 3_333_333, 6_000_001, len(LARGE)):
        piece = LARGE[position : position + length]
        response = await upload.send(piece, position)
        position += len(piece)
        assert (response.status_code, response.headers["Upload-Offset"]) == (204, str(position)), response.text
        assert await upload.offset() == position
    view = (await person.get(f"/images/{upload.id}")).json()
    assert view["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert await incoming(both, person) == []


async def test_what_arrived_before_an_interruption_is_kept(both: Service):
    person = await both.person()
    upload = await begin(person, LARGE)
    position = 0
    for length in (100_000, 6 * 1024 * 1024):
        assert (await upload.send(interrupted(LARGE[position : position + length]), position)).status_code == 500
        position += length
        assert await upload.offset() == position
    assert (await upload.send(LARGE[position:], position)).status_code == 204
    assert (await person.get(f"/images/{upload.id}")).json()["sha256"] == hashlib.sha256(LARGE).hexdigest()


async def test_the_first_bytes_can_be_sent_with_the_creation(both: Service):
    person = await both.person()
    headers = {**TUS, **OFFSET_STREAM, "Upload-Length": str(len(SMALL))}
    response = await person.post("/images/tus", headers=headers, content=SMALL[:1000])
    assert (response.status_code, response.headers["Upload-Offset"]) == (201, "1000")
    upload = Upload(person, response.headers["Location"])
    assert (await upload.send(SMALL[1000:], 1000)).status_code == 204
    response = await person.post("/images/tus", headers={**headers, **checksum(SMALL)}, content=SMALL)
    assert (response.status_code, response.headers["Upload-Offset"]) == (201, str(len(SMALL)))
    image = await person.client.get(response.headers["Content-Location"], headers=person.headers)
    assert image.json()["sha256"] == hashlib.sha256(SMALL).hexdigest()


async def test_a_repeated_last_request_returns_the_same_image(both: Service):
    person = await both.person()
    upload = await begin(person)
    await upload.send(SMALL[:1000], 0)
    first, again = await upload.send(SMALL[1000:], 1000), await upload.send(SMALL[1000:], 1000)
    assert (first.status_code, again.status_code) == (204, 204)
    assert again.headers["Content-Location"] == first.headers["Content-Location"]
    assert (await upload.send(SMALL[1000:], 999)).json()["code"] == "upload_offset_mismatch"
    assert len((await person.get("/images")).json()["items"]) == 1


async def test_a_lost_response_to_the_last_request_is_repeated(both: Service, monkeypatch: pytest.MonkeyPatch):
    """The process is killed after it has created the image and before it has recorded that."""
    person = await both.person()
    upload = await begin(person, LARGE)
    uploads = both.services.resumable_uploads

    async def killed(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(uploads, "_finish", killed)
        assert (await upload.send(LARGE, 0)).status_code == 500
    position = await upload.offset()
    assert position < len(LARGE)
    assert (await upload.send(LARGE[position:], position)).status_code == 204
    assert await upload.offset() == len(LARGE)
    assert len((await person.get("/images")).json()["items"]) == 1


async def test_an_assembled_file_is_not_sent_again(both: Service, monkeypatch: pytest.MonkeyPatch):
    """The service is overloaded when the last bytes have arrived."""
    person = await both.person()
    upload = await begin(person, LARGE)
    direct: Any = both.services.direct_uploads

    async def overloaded(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(direct, "_validate_and_store", overloaded)
        assert (await upload.send(LARGE, 0)).status_code == 500
    position = await upload.offset()
    assert position < len(LARGE)
    assert (await upload.send(LARGE[position:], position)).status_code == 204
    assert (await person.get(f"/images/{upload.id}")).json()["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert await incoming(both, person) == []


async def test_the_full_length_of_a_file_of_whole_parts_is_not_reported_early(
    both: Service, monkeypatch: pytest.MonkeyPatch
):
    person = await both.person()
    data = LARGE[: 2 * both.services.resumable_uploads._parts.part_bytes]
    upload = await begin(person, data)
    direct: Any = both.services.direct_uploads

    async def overloaded(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(direct, "_validate_and_store", overloaded)
        assert (await upload.send(data, 0)).status_code == 500
    position = await upload.offset()
    assert position < len(data)
    assert (await upload.send(data[position:], position)).status_code == 204
    assert await upload.offset() == len(data)
    assert (await person.get(f"/images/{upload.id}")).json()["sha256"] == hashlib.sha256(data).hexdigest()


async def test_a_wrong_checksum_discards_the_bytes(both: Service):
    person = await both.person()
    upload = await begin(person, LARGE)
    piece = LARGE[: 6 * 1024 * 1024]
    response = await upload.send(piece, 0, **checksum(b"other"))
    assert (response.status_code, response.json()["code"]) == (460, "checksum_mismatch")
    assert await upload.offset() == 0
    assert (await upload.send(interrupted(piece), 0, **checksum(piece))).status_code == 500
    assert await upload.offset() == 0
    assert (await upload.send(piece, 0, **checksum(piece))).headers["Upload-Offset"] == str(len(piece))
    rest = LARGE[len(piece) :]
    assert (await upload.send(rest, len(piece), **checksum(rest))).status_code == 204


@pytest.mark.parametrize("value", ["md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha1", "sha1 !", "sha1 YQ=="])
async def test_an_unknown_checksum_is_refused(person: Person, value: str):
    upload = await begin(person)
    response = await upload.send(SMALL, 0, **{"Upload-Checksum": value})
    assert (response.status_code, response.json()["code"]) == (400, "request_malformed")


@pytest.mark.parametrize(
    "data, sha256, status, code",
    [
        (b"%PDF-1.7 " + bytes(500), None, 415, "format_unsupported"),
        (SMALL[:2000], None, 422, "image_corrupt"),
        (SMALL, "0f" * 32, 422, "upload_mismatch"),
    ],
)
async def test_a_refused_file_is_gone(both: Service, data: bytes, sha256: str | None, status: int, code: str):
    person = await both.person()
    upload = await begin(person, data, **({"sha256": sha256} if sha256 else {}))
    response = await upload.send(data, 0)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["Tus-Resumable"] == "1.0.0"
    assert (await upload.request("HEAD")).status_code == 404
    assert await reserved(person) == 0
    assert await incoming(both, person) == []
    store = both.services.uploads._store
    assert [stored async for stored in store.walk(f"images/{person.tokens['user']['id']}/")] == []


async def test_a_terminated_upload_is_gone(both: Service):
    person = await both.person()
    upload = await begin(person, LARGE)
    await upload.send(LARGE[: 6 * 1024 * 1024], 0)
    assert (await upload.request("DELETE")).status_code == 204
    for method in ("HEAD", "DELETE"):
        assert (await upload.request(method)).status_code == 404
    assert (await upload.send(b"x", 0)).json()["code"] == "upload_missing"
    assert await reserved(person) == 0
    assert await incoming(both, person) == []


async def test_an_upload_that_expires_while_bytes_arrive(both: Service):
    person = await both.person()
    upload = await begin(person, LARGE)
    tables, storage = both.services.resumable_uploads._table, both.services.resumable_uploads._parts
    later = datetime.now(UTC) + timedelta(days=1, minutes=1)

    async def body() -> AsyncIterator[bytes]:
        yield LARGE[: 9 * 1024 * 1024]
        await UploadExpiry(tables, storage, clock=lambda: later).run()
        yield LARGE[9 * 1024 * 1024 :]

    response = await upload.send(body(), 0)
    # moto responds with 500 instead of NoSuchUpload.
    assert response.json()["code"] in ("upload_missing", "dependency_unavailable")
    assert (await upload.request("HEAD")).status_code == 404
    assert await reserved(person) == 0
    assert (await person.get("/images")).json()["items"] == []


async def test_an_expired_upload_is_missing(both: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(resumable_uploads, "LIFETIME", timedelta(0))
    person = await both.person()
    upload = await begin(person)
    assert (await upload.request("HEAD")).status_code == 404


async def test_the_expiration_is_reported(person: Person):
    upload = await begin(person)
    expires = parsedate_to_datetime((await upload.request("HEAD")).headers["Upload-Expires"])
    assert timedelta(hours=23) < expires - datetime.now(UTC) < timedelta(hours=25)


async def test_only_one_of_two_requests_sends_bytes(both: Service, monkeypatch: pytest.MonkeyPatch):
    person = await both.person()
    upload = await begin(person, LARGE)
    is_sending, may_end = asyncio.Event(), asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield LARGE[:100_000]
        is_sending.set()
        await may_end.wait()
        yield LARGE[100_000:200_000]

    async def busy() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x"
            is_sending.set()
            await asyncio.sleep(0.1)
            if may_end.is_set():
                return

    monkeypatch.setattr("app.services.part_writer._RENEW_SECONDS", 0)
    first = asyncio.create_task(upload.send(busy(), 0))
    await is_sending.wait()
    response = await upload.send(LARGE, 0)
    assert (response.status_code, response.json()["code"]) == (423, "upload_locked")
    may_end.set()
    await first
    await upload.request("DELETE")

    upload = await begin(person, LARGE)
    is_sending.clear()
    may_end.clear()
    monkeypatch.setattr(resumable_uploads, "_STALE_SECONDS", 1)
    first = asyncio.create_task(upload.send(stalled(), 0))
    await is_sending.wait()
    assert (await upload.send(LARGE, 0)).status_code == 204
    may_end.set()
    assert (await first).json()["code"] in ("upload_locked", "upload_missing")
    assert (await person.get(f"/images/{upload.id}")).json()["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert await upload.offset() == len(LARGE)


async def test_two_clients_race_on_one_upload(both: Service):
    person = await both.person()
    upload = await begin(person, LARGE)

    async def client() -> None:
        position = await upload.offset()
        while position < len(LARGE):
            response = await upload.send(LARGE[position : position + 4_000_000], position)
            assert response.status_code in (204, 409, 423), response.text
            position = await upload.offset()

    await asyncio.gather(client(), client())
    (image,) = (await person.get("/images")).json()["items"]
    assert image["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert await reserved(person) == 0


async def test_another_person_finds_no_upload(both: Service):
    person, stranger = await both.person(), await both.person()
    upload = await begin(person)
    theirs = Upload(stranger, upload.url)
    assert (await theirs.request("HEAD")).status_code == 404
    assert (await theirs.request("DELETE")).status_code == 404
    assert (await theirs.send(SMALL, 0)).json()["code"] == "upload_missing"
    direct = await person.post("/images/uploads", json={"filename": "a.jpg", "size": 5})
    mine = Upload(person, f"{upload.url.rpartition('/')[0]}/{direct.json()['upload_id']}")
    assert (await mine.request("HEAD")).status_code == 404


async def test_the_creation_is_checked(person: Person):
    maximum = 50 * 1024 * 1024
    assert (await create(person, maximum + 1)).json()["code"] == "upload_too_large"
    assert (await create(person, 0)).json()["code"] == "file_empty"
    assert (await create(person, 5, **{"Upload-Metadata": "filename !"})).json()["code"] == "request_malformed"
    assert (await create(person, 5, **{"Upload-Metadata": metadata(sha256="x")})).json()["code"] == "request_invalid"
    assert (await create(person, 5, **{"Content-Type": "image/jpeg"})).json()["code"] == "offset_stream_required"
    response = await create(person, 5, **{"Tus-Resumable": "0.2.2"})
    assert (response.status_code, response.headers["Tus-Version"]) == (412, "1.0.0")
    assert (await person.post("/images/tus", headers=TUS)).json()["code"] == "request_invalid"
    assert await reserved(person) == 0


async def test_the_bytes_are_checked(person: Person):
    upload = await begin(person)
    assert (await upload.send(SMALL, 1)).json()["code"] == "upload_offset_mismatch"
    assert (await upload.send(SMALL + b"x", 0)).json()["code"] == "upload_too_large"
    assert (await upload.send(SMALL, 0, **{"Content-Type": "image/jpeg"})).json()["code"] == "offset_stream_required"
    assert await upload.offset() == 0


async def test_the_protocol_is_described_without_a_token(service: Service):
    response = await service.client.options("/api/v1/images/tus")
    assert response.status_code == 204
    assert response.headers["Tus-Version"] == "1.0.0"
    assert response.headers["Tus-Max-Size"] == str(50 * 1024 * 1024)
    assert response.headers["Tus-Checksum-Algorithm"] == "sha1"
    assert set(response.headers["Tus-Extension"].split(",")) >= {"creation", "termination", "expiration", "checksum"}


async def test_the_method_can_be_overridden(person: Person):
    upload = await begin(person)
    headers = {**OFFSET_STREAM, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    response = await upload.request("POST", content=SMALL[:10], headers=headers)
    assert (response.status_code, response.headers["Upload-Offset"]) == (204, "10")
    assert (await upload.request("POST", headers={"X-HTTP-Method-Override": "DELETE"})).status_code == 204
    assert (await upload.request("POST")).status_code == 405


async def test_a_person_may_have_a_limited_number_of_open_uploads(service: Service):
    person = await service.person()
    uploads = [await begin(person) for _ in range(MAX_OPEN_UPLOADS)]
    refused = await create(person, 5)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_open_uploads")
    assert "terminate" in refused.json()["detail"]
    direct = await person.post("/images/uploads", json={"filename": "a.jpg", "size": 5})
    assert direct.json()["code"] == "too_many_open_uploads"
    assert (await uploads[0].request("DELETE")).status_code == 204
    assert (await create(person, 5)).status_code == 201


async def test_only_the_request_that_creates_the_image_is_audited(person: Person, service: Service):
    upload = await begin(person)
    await upload.send(SMALL[:1000], 0)
    response = await upload.send(SMALL[1000:], 1000)
    assert response.status_code == 204
    entries, _ = await service.services.audit.page(cursor=None, limit=10, owner_id=person.tokens["user"]["id"])
    assert [(entry.action, entry.target) for entry in entries][:2] == [
        ("image.uploaded", upload.id),
        ("account.registered", None),
    ]
