"""Requests as real clients send them: forms, filenames, ids, types, headers, and paths that differ from the usual."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from app.domain.ids import new_id
from tests.api.conftest import Person, Service, embedded_settings, running
from tests.pictures import jpeg, transparent_png

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHOTO = jpeg(64, 48)
UNKNOWN_ID = "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"
BASE64_NAME = b"=?utf-8?B?R3LDtsOfZSAxLnBuZw==?="


def form(*parts: tuple[bytes, bytes], preamble: bytes = b"") -> bytes:
    """Return a multipart body with the boundary `X` from pairs of header lines and content."""
    return preamble + b"".join(b"--X\r\n%s\r\n\r\n%s\r\n" % part for part in parts) + b"--X--\r\n"


async def post_form(user: Person, body: bytes, **headers: str) -> Any:
    headers = {"Content-Type": "multipart/form-data; boundary=X", **headers}
    return await user.post("/images/upload", content=body, headers=headers)


def file_part(disposition: bytes, content: bytes = PHOTO) -> tuple[bytes, bytes]:
    return b"Content-Disposition: form-data; " + disposition + b"\r\nContent-Type: image/jpeg", content


FILENAMES = {
    b"name=file; filename=\"%s\"; filename*=utf-8''Gr%%C3%%B6%%C3%%9Fe%%201.png" % BASE64_NAME: "Größe 1.png",
    b"name=\"file\"; filename*=utf-8''%D0%A1%D0%BD%D0%B8%D0%BC%D0%BE%D0%BA.png": "Снимок.png",
    b'name="file"; filename="=?utf-8?Q?Gr=C3=B6=C3=9Fe.png?="': "Größe.png",
    b'name="file"; filename="fallback.png"; filename*=iso-8859-1\'en\'%A3.png': "£.png",
    b"name=\"file\"; filename*=utf-8''..%2F..%2Fetc%2Fpasswd": "passwd",
    b'name="file"; filename*=nonsense': "nonsense",
    b'name="file"; filename="=?unknown?B?R3LD?="': "=?unknown?B?R3LD?=",
    'name="file"; filename="\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f.png"'.encode(): (
        "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f.png"
    ),
    'name="file"; filename="a\U000e0067b.png"'.encode(): "ab.png",
}


@pytest.mark.parametrize("disposition", FILENAMES)
async def test_filenames_are_decoded_in_every_form(person: Person, disposition: bytes):
    response = await post_form(person, form(file_part(disposition)))
    assert (response.status_code, response.json()["filename"]) == (201, FILENAMES[disposition])


async def test_a_preamble_is_skipped(person: Person):
    body = form(file_part(b"name=file; filename=a.jpg"), preamble=b"This is a multipart message.\r\n\r\n")
    assert (await post_form(person, body)).status_code == 201
    refused = await post_form(person, b"no boundary here" * 10_000)
    assert (refused.status_code, refused.json()["code"]) == (400, "multipart_invalid")


async def test_a_text_part_under_the_name_of_the_file_is_ignored(person: Person):
    text = (b"Content-Disposition: form-data; name=file", b"{}")
    response = await post_form(person, form(text, file_part(b"name=file; filename=a.jpg")))
    assert (response.status_code, response.json()["filename"]) == (201, "a.jpg")


@pytest.mark.parametrize("photo", [jpeg(16, 16), jpeg(1200, 900)], ids=["short", "long"])
async def test_a_file_without_filename_and_type_is_accepted(person: Person, photo: bytes):
    response = await post_form(person, form((b"Content-Disposition: form-data; name=file", photo)))
    assert (response.status_code, response.json()["size"]) == (201, len(photo))


MISSING_FILES = {
    "other name": (
        [file_part(b"name=image; filename=a.jpg")],
        "field `image` (a.jpg). Send it in a field named `file`",
    ),
    "array": ([file_part(b'name="files[]"; filename=b.jpg')], "field `files[]` (b.jpg)"),
    "object": ([(b"Content-Disposition: form-data; name=file", b"[object Object]")], "React Native"),
    "address": ([(b"Content-Disposition: form-data; name=file", b"file:///storage/1.jpg")], "address"),
    "text": ([(b"Content-Disposition: form-data; name=file", b"hello")], "text instead of a file"),
    "nothing": ([(b"Content-Disposition: form-data; name=description", b"hello")], "field named `file`"),
}


@pytest.mark.parametrize("name", MISSING_FILES)
async def test_a_missing_file_is_explained(person: Person, name: str):
    parts, explanation = MISSING_FILES[name]
    response = await post_form(person, form(*parts))
    assert (response.status_code, response.json()["code"]) == (422, "file_missing")
    assert explanation in response.json()["detail"]


@pytest.mark.parametrize("second", [b"name=file; filename=b.jpg", b"name=thumbnail; filename=b.jpg"])
async def test_several_files_are_named(person: Person, second: bytes):
    response = await post_form(person, form(file_part(b"name=file; filename=a.jpg"), file_part(second)))
    assert (response.status_code, response.json()["code"]) == (422, "file_repeated")
    assert "a.jpg" in response.json()["detail"]
    assert "b.jpg" in response.json()["detail"]
    assert (await person.get("/auth/me")).json()["usage"]["images"] == 0


async def test_ids_are_accepted_in_upper_case(person: Person):
    image_id = (await person.upload()).json()["id"]
    upper = image_id.upper()
    assert (await person.get(f"/images/{upper}")).json()["id"] == image_id
    assert (await person.get(f"/images/{upper}/thumbnails/200")).status_code == 200
    assert (await person.request("PATCH", f"/images/{upper}", json={"description": "x"})).status_code == 200
    job_id = (await person.post("/auth/me/export")).json()["job_id"]
    assert (await person.get(f"/jobs/{job_id.upper()}")).json()["job_id"] == job_id
    deleted = await person.post("/images/delete", json={"ids": [upper, new_id()]})
    assert deleted.json()["results"][upper] == "deleted"
    assert (await person.get("/auth/me")).json()["usage"]["images"] == 0


@pytest.mark.parametrize(
    "declared", ["image/jpg", "image/pjpeg", "image/jpeg; charset=binary", "IMAGE/JPEG", "", "application/octet-stream"]
)
async def test_direct_uploads_accept_names_of_types_that_clients_use(service: Service, person: Person, declared: str):
    body = {"filename": "a.jpg", "content_type": declared, "size": len(PHOTO)}
    response = await person.post("/images/uploads", json=body)
    assert response.status_code == 201, response.text
    upload = response.json()
    posted = await service.client.post(upload["url"], data=upload["fields"], files={"file": ("a.jpg", PHOTO)})
    assert posted.status_code == 204
    assert posted.headers["ETag"].strip('"') == hashlib.sha256(PHOTO).hexdigest()
    assert posted.headers["Location"].startswith("http://service.test/api/v1/objects/incoming/")
    image = (await person.post(f"/images/uploads/{upload['upload_id'].upper()}/complete")).json()
    assert image["content_type"] == "image/jpeg"


async def test_direct_uploads_refuse_other_types(person: Person):
    body = {"filename": "a.pdf", "content_type": "application/pdf", "size": 100}
    response = await person.post("/images/uploads", json=body)
    assert (response.status_code, response.json()["code"]) == (415, "format_unsupported")


@pytest.mark.parametrize(
    "sent,stored",
    [("AC/DC live.png", "AC-DC live.png"), ("Lait 1/2 écrémé.jpg", "Lait 1-2 écrémé.jpg"), ("../a.png", "a.png")],
)
async def test_a_slash_in_a_title_is_replaced(person: Person, sent: str, stored: str):
    image_id = (await person.upload()).json()["id"]
    response = await person.request("PATCH", f"/images/{image_id}", json={"filename": sent})
    assert (response.status_code, response.json()["filename"]) == (200, stored)


async def test_control_and_bidirectional_characters_are_removed(person: Person):
    image_id = (await person.upload(description="a\u202eb\x00c\r\nd\te")).json()["id"]
    assert (await person.get(f"/images/{image_id}")).json()["description"] == "abc\nd\te"
    body = {"email": f"{new_id()}@example.com", "password": "a long enough passphrase", "display_name": "A\u202eda\n"}
    response = await person.client.post("/api/v1/auth/register", json=body)
    assert response.json()["user"]["display_name"] == "Ada"


HEADS = ["/images", "/images/{id}", "/images/{id}/thumbnails", "/images/{id}/file", "/auth/me", "/jobs", "/jobs/{job}"]


async def test_head_has_the_response_of_get_without_a_body(person: Person):
    image_id = (await person.upload()).json()["id"]
    job_id = (await person.post("/auth/me/export")).json()["job_id"]
    for template in HEADS:
        path = template.format(id=image_id, job=job_id)
        head, get = await person.request("HEAD", path), await person.get(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert head.headers["content-type" if get.content else "location"]


async def test_head_neither_waits_nor_streams(person: Person, tmp_path: Path):
    image_id = (await person.upload()).json()["id"]
    for path in (f"/images/{image_id}/events", f"/jobs/{new_id()}/events"):
        assert (await person.request("HEAD", path)).status_code in (200, 404)


@pytest.mark.parametrize("path", ["/images/upload", "/images/delete", "/images/uploads", "/auth/token"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "PUT", "HEAD"])
async def test_a_wrong_method_on_a_known_path_is_405(person: Person, path: str, method: str):
    response = await person.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_the_export_is_a_post(person: Person):
    response = await person.get("/auth/me/export")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_a_trailing_slash_works_without_a_redirect(person: Person):
    image_id = (await person.upload()).json()["id"]
    for path in ("/images/", f"/images/{image_id}/", "/jobs/", "/auth/me/"):
        assert (await person.get(path)).status_code == 200
    assert (await person.client.get("/health/live/")).status_code == 200


@pytest.mark.parametrize(
    "method,path,body,field,nearest",
    [
        ("POST", "/images/uploads", {"filname": "a", "size": 1, "content_type": ""}, "body.filname", "`filename`"),
        ("POST", "/fetch-image", {"ean": "3017620422003", "ean_code": "3017620422003"}, "body.ean", "`ean_code`"),
        ("PATCH", f"/images/{UNKNOWN_ID}", {"descripton": "x"}, "body.descripton", "`description`"),
        ("GET", "/images?limti=5", None, "query.limti", "`limit`"),
        ("GET", "/jobs?state=failed", None, "query.state", "status"),
    ],
)
async def test_unknown_fields_are_refused_with_the_nearest_known(
    person: Person, method: str, path: str, body: dict[str, Any] | None, field: str, nearest: str
):
    response = await person.request(method, path, json=body)
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")
    (message,) = [error["message"] for error in response.json()["errors"] if error["field"] == field]
    assert nearest in message


async def test_unknown_fields_are_ignored_where_clients_add_their_own(person: Person):
    assert (await person.get("/images?_=1732700000&limit=5")).status_code == 200
    assert (await person.upload(anything="x")).status_code == 201
    form = {"username": person.email, "password": "a long enough passphrase", "grant_type": "password", "scope": "x"}
    assert (await person.client.post("/api/v1/auth/token", data=form)).status_code == 200


@pytest.mark.parametrize("size", ['"12"', "true", "12.0", "NaN", "1e3", "null"])
async def test_numbers_are_not_coerced(person: Person, size: str):
    content = f'{{"filename": "a.jpg", "content_type": "image/jpeg", "size": {size}}}'
    headers = {"Content-Type": "application/json"}
    response = await person.post("/images/uploads", content=content, headers=headers)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "body.size")


@pytest.mark.parametrize("path", ["/images/upload", "/images/delete"])
async def test_a_compressed_body_is_refused(person: Person, path: str):
    headers = {"Content-Encoding": "gzip", "Content-Type": "multipart/form-data; boundary=X"}
    response = await person.post(path, content=b"\x1f\x8b" + PHOTO, headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "content_encoding_unsupported")


def digest(algorithm: str, body: bytes) -> str:
    return base64.b64encode(hashlib.new(algorithm, body).digest()).decode()


async def test_the_digest_of_an_upload_is_verified(person: Person):
    body = form(file_part(b"name=file; filename=a.jpg"))
    good = {"Content-Digest": f"sha-256=:{digest('sha256', body)}:, unknown=:AAAA:"}
    assert (await post_form(person, body, **good)).status_code == 201
    assert (await post_form(person, body, **{"Content-MD5": digest("md5", body)})).status_code == 201
    assert (
        await post_form(person, body, **{"Content-Digest": f"sha-512=:{digest('sha512', body)}:"})
    ).status_code == 201
    for headers, status, code in (
        ({"Content-Digest": f"sha-256=:{digest('sha256', b'')}:"}, 400, "digest_mismatch"),
        ({"Content-MD5": digest("md5", b"")}, 400, "digest_mismatch"),
        ({"Content-Digest": "sha-256=abc"}, 400, "request_malformed"),
        ({"Content-MD5": "!"}, 400, "request_malformed"),
    ):
        response = await post_form(person, body, **headers)
        assert (response.status_code, response.json()["code"]) == (status, code)


REQUESTED = "authorization, traceparent, baggage, x-firebase-appcheck, tus-resumable, upload-offset, x-anything"


async def test_other_origins_may_send_any_header_and_read_what_they_need(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    async with running(embedded_settings(tmp_path, cors_origins=("https://app.example.com",))) as service:
        headers = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": REQUESTED}
        allowed = await service.client.options(
            "/api/v1/images", headers={"Origin": "https://app.example.com", **headers}
        )
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-headers"] == REQUESTED
        read = await service.client.get("/api/v1/images", headers={"Origin": "https://app.example.com"})
        exposed = {name.strip() for name in read.headers["access-control-expose-headers"].split(",")}
        assert {"Location", "ETag", "Retry-After", "Upload-Offset", "Tus-Resumable"} <= exposed
        for _ in range(2):
            refused = await service.client.options(
                "/api/v1/images", headers={"Origin": "https://evil.example", **headers}
            )
            assert "access-control-allow-origin" not in refused.headers
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "cors.origin_refused" in line]
    assert "CORS_ORIGINS" in line
    assert "https://evil.example" in line


async def test_a_transparent_image_is_uploaded_under_a_title_of_only_slashes(person: Person):
    image_id = (await person.upload(transparent_png())).json()["id"]
    response = await person.request("PATCH", f"/images/{image_id}", json={"filename": "///"})
    assert response.json()["filename"] == "upload"
