from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.services import direct_uploads
from tests.api.conftest import BASE_URL, Person, Service
from tests.api.test_upload import stored_keys
from tests.failing import Failing
from tests.patience import SECONDS
from tests.pictures import jpeg, transparent_png

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHOTO = jpeg(400, 300)


def announcement(data: bytes = PHOTO, **changes: Any) -> dict[str, Any]:
    return {"filename": "beach.jpg", "content_type": "image/jpeg", "size": len(data), **changes}


async def announce(person: Person, data: bytes = PHOTO, **changes: Any) -> dict[str, Any]:
    response = await person.request("POST", "/images/uploads", json=announcement(data, **changes))
    assert response.status_code == 201, response.text
    opened: dict[str, Any] = response.json()
    return opened


async def send(
    service: Service, opened: dict[str, Any], data: bytes = PHOTO, fields: dict[str, str] | None = None
) -> httpx.Response:
    arguments: Any = {"data": fields or opened["fields"], "files": {"file": ("x", data, "image/jpeg")}}
    if opened["url"].startswith(BASE_URL):
        return await service.client.post(opened["url"], **arguments)
    async with httpx.AsyncClient() as outside:
        return await outside.post(opened["url"], **arguments)


async def complete(person: Person, opened: dict[str, Any]) -> httpx.Response:
    return await person.request("POST", f"/images/uploads/{opened['upload_id']}/complete")


async def incoming(service: Service, person: Person) -> list[str]:
    return await service.keys(f"incoming/{person.tokens['user']['id']}/")


async def wait_until_deleted(service: Service, person: Person) -> None:
    """Wait until no file is left: another process, which learned of its arrival, may still be deleting it."""
    for _ in range(10 * SECONDS):
        if not await incoming(service, person):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the file was not deleted")


async def test_file_uploaded_directly_to_the_store_becomes_an_image(both: Service):
    person = await both.person()
    digest = hashlib.sha256(PHOTO).hexdigest()
    opened = await announce(person, sha256=digest, description="At the sea")
    assert set(opened) == {"upload_id", "url", "fields", "put_url", "expires_at"}
    assert (await send(both, opened)).status_code == 204
    response = await complete(person, opened)
    assert response.status_code == 200, response.text
    view = response.json()
    assert (view["filename"], view["description"], view["sha256"]) == ("beach.jpg", "At the sea", digest)
    assert (view["width"], view["height"], len(view["thumbnails"])) == (400, 300, 3)
    assert (await both.fetch(view["original_url"])).content == PHOTO
    await wait_until_deleted(both, person)
    assert [item["id"] for item in (await person.get("/images")).json()["items"]] == [view["id"]]


async def put(service: Service, opened: dict[str, Any], data: bytes, **headers: str) -> httpx.Response:
    if opened["put_url"].startswith(BASE_URL):
        return await service.client.put(opened["put_url"], content=data, headers=headers)
    async with httpx.AsyncClient() as outside:
        return await outside.put(opened["put_url"], content=data, headers=headers)


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", "text/plain", None])
async def test_file_uploaded_with_put_becomes_an_image(both: Service, content_type: str | None):
    person = await both.person()
    opened = await announce(person)
    response = await put(both, opened, PHOTO, **({"Content-Type": content_type} if content_type else {}))
    assert response.status_code == 200, response.text
    assert response.headers["etag"]
    view = (await complete(person, opened)).json()
    assert (await both.fetch(view["original_url"])).content == PHOTO


async def test_body_that_the_put_url_does_not_allow_is_rejected(service: Service):
    person = await service.person()
    opened = await announce(person)
    for data, changed, status, code in (
        (PHOTO + b"x", "", 413, "upload_too_large"),
        (PHOTO[1:], "", 403, "form_invalid"),
        (b"", "", 422, "file_empty"),
        (PHOTO, "0", 403, "form_invalid"),
    ):
        url = opened["put_url"] + changed
        response = await put(service, {"put_url": url}, data)
        assert (response.status_code, response.json()["code"]) == (status, code)
    digest = {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    assert (await put(service, opened, PHOTO, **digest)).json()["code"] == "digest_mismatch"
    assert await incoming(service, person) == []


async def test_completing_an_upload_twice_returns_the_same_image(both: Service):
    person = await both.person()
    opened = await announce(person)
    await send(both, opened)
    first = (await complete(person, opened)).json()
    assert (await complete(person, opened)).json()["id"] == first["id"]
    # The form is still valid. Sending it again does not change the validated file.
    await send(both, opened, jpeg(400, 300, seed=5)[: len(PHOTO)].ljust(len(PHOTO), b"\0"))
    assert (await complete(person, opened)).json()["id"] == first["id"]
    assert (await both.fetch(first["original_url"])).content == PHOTO
    store = both.services.uploads._store
    await store.delete(await incoming(both, person))


async def test_completing_an_upload_after_its_image_was_deleted_returns_404(both: Service):
    person = await both.person()
    opened = await announce(person)
    await send(both, opened)
    image = (await complete(person, opened)).json()
    assert (await person.request("DELETE", f"/images/{image['id']}")).status_code == 204
    response = await complete(person, opened)
    assert (response.status_code, response.json()["code"]) == (404, "upload_missing")
    assert "deleted" in response.json()["detail"]


async def test_content_type_and_digest_are_case_insensitive(service: Service, person: Person):
    digest = hashlib.sha256(PHOTO).hexdigest().upper()
    opened = await announce(person, sha256=digest, content_type="IMAGE/JPEG")
    await send(service, opened)
    assert (await complete(person, opened)).status_code == 200


async def test_concurrent_completions_create_one_image(service: Service, person: Person):
    opened = await announce(person)
    await send(service, opened)
    responses = await asyncio.gather(*(complete(person, opened) for _ in range(20)))
    assert {r.status_code for r in responses} <= {200, 409}
    assert {r.json()["code"] for r in responses if r.status_code == 409} <= {"request_in_progress"}
    assert len({r.json()["id"] for r in responses if r.status_code == 200}) == 1
    assert len((await person.get("/images")).json()["items"]) == 1
    assert len(await stored_keys(service, person.tokens["user"]["id"])) == 5


async def test_completing_before_the_file_was_uploaded_is_an_error(both: Service):
    person = await both.person()
    opened = await announce(person)
    response = await complete(person, opened)
    assert (response.status_code, response.json()["code"]) == (409, "upload_incomplete")
    await send(both, opened)
    assert (await complete(person, opened)).status_code == 200


async def usage(person: Person) -> tuple[int, int, int]:
    found = (await person.request("GET", "/auth/me")).json()["usage"]
    return found["images"], found["bytes"], found["reserved_bytes"]


async def test_an_announced_size_is_reserved_until_the_upload_is_completed(both: Service):
    person = await both.person()
    opened, refused = await announce(person), await announce(person, PHOTO[:2000])
    assert await usage(person) == (0, 0, len(PHOTO) + 2000)
    await send(both, opened)
    await complete(person, opened)
    assert await usage(person) == (1, len(PHOTO), 2000)
    await send(both, refused, PHOTO[:2000])
    assert (await complete(person, refused)).json()["code"] == "image_corrupt"
    assert await usage(person) == (1, len(PHOTO), 0)


async def test_the_maintenance_releases_an_upload_that_expired(both: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(direct_uploads, "FORM_LIFETIME", timedelta(0))
    person = await both.person()
    await announce(person)
    await both.container.worker._maintenance.expire_uploads()
    assert await usage(person) == (0, 0, 0)


async def test_upload_of_another_user_cannot_be_completed(service: Service, person: Person):
    opened = await announce(person)
    await send(service, opened)
    response = await complete(await service.person(), opened)
    assert (response.status_code, response.json()["code"]) == (404, "upload_missing")
    unknown = await person.request("POST", "/images/uploads/0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10/complete")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "upload_missing")


@pytest.mark.parametrize(
    "data, code, status",
    [
        (b"%PDF-1.7 " + bytes(500), "format_unsupported", 415),
        (PHOTO[:2000], "image_corrupt", 422),
    ],
)
async def test_file_that_is_not_an_image_is_rejected_and_deleted(both: Service, data: bytes, code: str, status: int):
    person = await both.person()
    opened = await announce(person, data)
    assert (await send(both, opened, data)).status_code == 204
    response = await complete(person, opened)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert await incoming(both, person) == []
    assert await stored_keys(both, person.tokens["user"]["id"]) == []
    shown = (await person.get(f"/images/uploads/{opened['upload_id']}")).json()
    assert (shown["status"], shown["error"]["code"], shown["image"]) == ("refused", code, None)
    # The refusal is repeated, because the client may not have been told: the call may not have been its own.
    assert (await complete(person, opened)).json()["code"] == code


async def test_an_accepted_file_replaces_the_refusal_of_an_earlier_one(both: Service):
    person = await both.person()
    opened = await announce(person)
    damaged = PHOTO[: len(PHOTO) // 2].ljust(len(PHOTO), b"\0")
    assert (await send(both, opened, damaged)).status_code == 204
    assert (await complete(person, opened)).json()["code"] == "image_corrupt"
    await send(both, opened)
    image = (await complete(person, opened)).json()
    shown = (await person.get(f"/images/uploads/{opened['upload_id']}")).json()
    assert (shown["status"], shown["error"], shown["image"]["id"]) == ("completed", None, image["id"])


async def test_a_file_that_arrived_is_completed_without_a_call_of_its_client(both: Service):
    person = await both.person()
    opened = await announce(person)
    path = f"/images/uploads/{opened['upload_id']}"
    key = f"incoming/{person.tokens['user']['id']}/{opened['upload_id']}"
    uploads = both.services.direct_uploads
    assert await uploads.complete_arrived(key) is None
    assert (await person.get(path)).json()["status"] == "pending"
    await send(both, opened)
    completed = await uploads.complete_arrived(key)
    assert completed is not None
    shown = (await person.get(path)).json()
    assert (shown["status"], shown["image"]["id"]) == ("completed", completed.id)
    assert (await complete(person, opened)).json()["id"] == completed.id
    # A file that is sent again is deleted, also after the image was deleted.
    await send(both, opened)
    assert await incoming(both, person) == [key]
    assert await uploads.complete_arrived(key) == completed
    assert await incoming(both, person) == []
    assert (await person.request("DELETE", f"/images/{completed.id}")).status_code == 204
    await send(both, opened)
    assert await uploads.complete_arrived(key) is None
    assert await incoming(both, person) == []
    assert (await person.get(path)).json()["code"] == "upload_missing"


async def test_a_refused_file_that_arrived_is_not_tried_again(service: Service, person: Person):
    data = PHOTO[:2000]
    opened = await announce(person, data)
    await send(service, opened, data)
    key = f"incoming/{person.tokens['user']['id']}/{opened['upload_id']}"
    assert await service.services.direct_uploads.complete_arrived(key) is None
    assert (await person.get(f"/images/uploads/{opened['upload_id']}")).json()["error"]["code"] == "image_corrupt"
    for other in ("incoming/someone/else", "images/someone/x/original.jpg", "incoming/", "incoming/a/b/c"):
        assert await service.services.direct_uploads.complete_arrived(other) is None


class Validation:
    """Suspends the first validation of a file, and notes when a later call has read the record of its upload."""

    def __init__(self, uploads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started, self.read_again, self.may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._validate, self._get = uploads._validate_and_store, uploads._get
        monkeypatch.setattr(uploads, "_validate_and_store", self.validate)
        monkeypatch.setattr(uploads, "_get", self.get)

    async def validate(self, *arguments: Any) -> Any:
        self.started.set()
        await self.may_end.wait()
        return await self._validate(*arguments)

    async def get(self, *arguments: Any) -> Any:
        upload = await self._get(*arguments)
        if self.started.is_set():
            self.read_again.set()
        return upload


async def test_completing_an_upload_waits_for_a_completion_that_is_running(
    service: Service, person: Person, monkeypatch: pytest.MonkeyPatch
):
    uploads = service.services.direct_uploads
    opened = await announce(person)
    await send(service, opened)
    validation = Validation(uploads, monkeypatch)
    monkeypatch.setattr("app.common.idempotency.LEASE_SECONDS", 1)
    key = f"incoming/{person.tokens['user']['id']}/{opened['upload_id']}"
    running = asyncio.create_task(uploads.complete_arrived(key))
    await validation.started.wait()
    waiting = asyncio.create_task(complete(person, opened))
    done, _ = await asyncio.wait([waiting], timeout=3)
    assert not done
    validation.may_end.set()
    image = await running
    assert image is not None
    assert (await waiting).json()["id"] == image.id


async def test_a_client_that_completes_a_file_while_it_is_refused_gets_the_reason(
    both: Service, monkeypatch: pytest.MonkeyPatch
):
    person = await both.person()
    data = b"%PDF-1.7 " + bytes(500)
    opened = await announce(person, data)
    await send(both, opened, data)
    validation = Validation(both.services.direct_uploads, monkeypatch)
    key = f"incoming/{person.tokens['user']['id']}/{opened['upload_id']}"
    running = asyncio.create_task(both.services.direct_uploads.complete_arrived(key))
    await validation.started.wait()
    waiting = asyncio.create_task(complete(person, opened))
    await validation.read_again.wait()
    validation.may_end.set()
    assert await running is None
    response = await waiting
    assert (response.status_code, response.json()["code"]) == (415, "format_unsupported")


async def test_an_upload_is_shown_as_refused_only_when_its_file_is_gone(both: Service, monkeypatch: pytest.MonkeyPatch):
    """Otherwise a client could send another file at once, and that file would be deleted."""
    person = await both.person()
    opened = await announce(person)
    await send(both, opened, PHOTO[: len(PHOTO) // 2].ljust(len(PHOTO), b"\0"))
    uploads = both.services.direct_uploads
    deletes, may_delete = asyncio.Event(), asyncio.Event()
    delete = uploads._delete

    async def delete_later(*arguments: Any) -> None:
        deletes.set()
        await may_delete.wait()
        await delete(*arguments)

    monkeypatch.setattr(uploads, "_delete", delete_later)
    key = f"incoming/{person.tokens['user']['id']}/{opened['upload_id']}"
    path = f"/images/uploads/{opened['upload_id']}"
    running = asyncio.create_task(uploads.complete_arrived(key))
    await deletes.wait()
    assert (await person.get(path)).json()["status"] == "pending"
    may_delete.set()
    assert await running is None
    assert (await person.get(path)).json()["error"]["code"] == "image_corrupt"
    await send(both, opened)
    assert (await complete(person, opened)).status_code == 200


async def test_content_decides_the_type_of_a_direct_upload(service: Service, person: Person):
    png = transparent_png()
    opened = await announce(person, png)
    await send(service, opened, png)
    assert (await complete(person, opened)).json()["content_type"] == "image/png"


async def test_file_that_differs_from_the_announcement_is_rejected(service: Service, person: Person):
    """The store behaves like an emulator or a bucket that does not enforce the policy of the form."""
    store = service.services.uploads._store
    other = jpeg(400, 300, seed=9)
    opened = await announce(person)
    await store.put(f"incoming/{person.tokens['user']['id']}/{opened['upload_id']}", other, content_type="image/jpeg")
    response = (await complete(person, opened)).json()
    assert (response["code"], "bytes" in response["detail"]) == ("upload_mismatch", True)
    opened = await announce(person, other, sha256=hashlib.sha256(PHOTO).hexdigest())
    await store.put(f"incoming/{person.tokens['user']['id']}/{opened['upload_id']}", other, content_type="image/jpeg")
    assert (await complete(person, opened)).json()["code"] == "upload_mismatch"
    assert await incoming(service, person) == []


async def test_form_accepts_only_the_file_it_was_signed_for(service: Service, person: Person):
    digest = hashlib.sha256(PHOTO).hexdigest()
    opened = await announce(person, sha256=digest)
    fields: dict[str, str] = opened["fields"]
    tries = [
        await send(service, opened, PHOTO + b"x"),
        await send(service, opened, PHOTO[:-1]),
        await send(service, opened, PHOTO[:-1] + b"x"),
        *[await send(service, opened, fields={**fields, name: fields[name] + "1"}) for name in fields],
        *[await send(service, opened, fields={k: v for k, v in fields.items() if k != name}) for name in fields],
    ]
    assert {response.status_code for response in tries} <= {400, 403, 413, 422}
    assert await incoming(service, person) == []
    assert (await complete(person, opened)).json()["code"] == "upload_incomplete"


@pytest.mark.parametrize("misuse", ["another type", "another key", "too many bytes", "after its end"])
async def test_misused_form_never_creates_an_image(both: Service, misuse: str, monkeypatch: pytest.MonkeyPatch):
    if misuse == "after its end":
        monkeypatch.setattr(direct_uploads, "FORM_LIFETIME", timedelta(seconds=1))
    person = await both.person()
    opened = await announce(person)
    fields: dict[str, str] = opened["fields"]
    match misuse:
        case "another type":
            response = await send(both, opened, fields={**fields, "Content-Type": "text/html"})
        case "another key":
            response = await send(both, opened, fields={**fields, "key": fields["key"][:-1] + "x"})
        case "too many bytes":
            response = await send(both, opened, PHOTO + bytes(1000))
        case _:
            await asyncio.sleep(2.5)
            response = await send(both, opened)
    if response.status_code == 204 and misuse in ("another type", "after its end"):
        pytest.skip("this emulator takes any form, and what came with it is the very file that was announced")
    assert response.is_client_error or response.status_code == 204
    assert (await complete(person, opened)).json()["code"] in ("upload_incomplete", "upload_mismatch")
    assert (await person.get("/images")).json()["items"] == []


@pytest.mark.parametrize(
    "changes, status, code",
    [
        ({"size": 50 * 1024 * 1024 + 1}, 413, "upload_too_large"),
        ({"content_type": "text/html"}, 415, "format_unsupported"),
        ({"size": 0}, 422, "request_invalid"),
        ({"sha256": "short"}, 422, "request_invalid"),
        ({"filename": ""}, 422, "request_invalid"),
        ({"description": "x" * 2001}, 422, "request_invalid"),
    ],
)
async def test_invalid_announcement_is_rejected(person: Person, changes: dict[str, Any], status: int, code: str):
    response = await person.request("POST", "/images/uploads", json=announcement(**changes))
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_retried_announcement_returns_the_same_upload(both: Service):
    person = await both.person()
    headers = {"Idempotency-Key": "announce-1"}
    first = (await person.request("POST", "/images/uploads", json=announcement(), headers=headers)).json()
    again = (await person.request("POST", "/images/uploads", json=announcement(), headers=headers)).json()
    assert first["upload_id"] == again["upload_id"]
    other = await person.request("POST", "/images/uploads", json=announcement(size=5), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_retry_with_the_same_idempotency_key_returns_the_same_image(both: Service):
    person = await both.person()
    headers = {"Idempotency-Key": "key-1"}

    async def upload(data: bytes, headers: dict[str, str] = headers, who: Person = person) -> httpx.Response:
        return await who.request("POST", "/images/upload", files={"file": ("a.jpg", data)}, headers=headers)

    first = await upload(PHOTO)
    again = await upload(PHOTO)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    other = await upload(jpeg(100, 100))
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    # The same key of another user is a different key.
    stranger = await both.person()
    assert (await upload(PHOTO, who=stranger)).json()["id"] != first.json()["id"]
    assert len((await person.get("/images")).json()["items"]) == 1


async def test_concurrent_uploads_with_one_key_create_one_image(both: Service):
    person = await both.person()
    headers = {"Idempotency-Key": "key-2"}
    files = {"file": ("a.jpg", PHOTO)}
    tries = (person.request("POST", "/images/upload", files=files, headers=headers) for _ in range(both.concurrency))
    responses = await asyncio.gather(*tries)
    assert {r.status_code for r in responses} <= {201, 409}
    assert len({r.json()["id"] for r in responses if r.status_code == 201}) == 1
    assert {r.json()["code"] for r in responses if r.status_code == 409} <= {"request_in_progress"}
    assert len((await person.get("/images")).json()["items"]) == 1


async def test_failed_upload_can_be_retried_with_the_same_key(service: Service, monkeypatch: pytest.MonkeyPatch):
    person = await service.person()
    uploads: Any = service.services.uploads
    headers = {"Idempotency-Key": "key-3"}
    with monkeypatch.context() as patched:
        patched.setattr(uploads, "_images", Failing(uploads._images, on="add", times=1))
        files = {"file": ("a.jpg", PHOTO)}
        assert (await person.request("POST", "/images/upload", files=files, headers=headers)).status_code == 503
    assert (await person.request("POST", "/images/upload", files=files, headers=headers)).status_code == 201


async def test_retry_after_a_lost_response_returns_the_created_image(service: Service, monkeypatch: pytest.MonkeyPatch):
    person = await service.person()
    uploads: Any = service.services.uploads
    headers = {"Idempotency-Key": "key-4"}
    files = {"file": ("a.jpg", PHOTO)}
    with monkeypatch.context() as patched:
        lost = Failing(uploads._images, on="add", times=1, after=True)
        patched.setattr(uploads, "_images", Failing(lost, on="remove"))
        assert (await person.request("POST", "/images/upload", files=files, headers=headers)).status_code == 503
    (made,) = (await person.get("/images")).json()["items"]
    again = await person.request("POST", "/images/upload", files=files, headers=headers)
    assert (again.status_code, again.json()["id"]) == (201, made["id"])


async def test_key_of_a_deleted_image_cannot_be_reused(person: Person):
    headers = {"Idempotency-Key": "key-5"}
    files = {"file": ("a.jpg", PHOTO)}
    view = (await person.request("POST", "/images/upload", files=files, headers=headers)).json()
    await person.request("DELETE", f"/images/{view['id']}")
    again = await person.request("POST", "/images/upload", files=files, headers=headers)
    assert (again.status_code, again.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
async def test_invalid_idempotency_key_is_rejected(person: Person, key: str):
    response = await person.request(
        "POST", "/images/upload", files={"file": ("a.jpg", PHOTO)}, headers={"Idempotency-Key": key}
    )
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_invalid")
