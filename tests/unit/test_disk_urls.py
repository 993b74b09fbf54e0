"""Tests of the disk store's signed URLs and forms: the signature covers every part of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.common.signing import derive_key, sign
from app.domain.errors import FormExpired, FormInvalid, ObjectMissing, UrlExpired, UrlInvalid
from app.domain.objects import PresignedPost, PresignedPostClaims
from app.storage.disk.store import DiskObjectStore, open_disk
from app.storage.disk.urls import FORM_URL, URL_PATH
from tests.unit.clock import NOON

KEY = "images/u/i/original.jpg"
URL_KEY = b"k" * 32


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskObjectStore]:
    async with open_disk(
        tmp_path / "objects", url_key=URL_KEY, ttl_seconds=3600, window_seconds=900, clock=NOON.timestamp
    ) as opened:
        await opened.put(KEY, b"content", content_type="image/jpeg")
        yield opened


async def parts_of(store: DiskObjectStore, *, key: str = KEY, filename: str | None = None) -> dict[str, Any]:
    """Sign a URL and return its parts as arguments of `open_signed`."""
    url = urlsplit((await store.sign_url(key, filename=filename)).url)
    query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    return (
        {"filename": None}
        | query
        | {
            "key": url.path.removeprefix(URL_PATH),
            "expires": int(query["expires"]),
            "now": NOON,
        }
    )


@pytest.mark.parametrize("filename", [None, "", "beach.jpg", 'für "x"&y=z\r\n+%41.jpg'])
async def test_a_url_opens_the_object_that_it_was_signed_for(store: DiskObjectStore, filename: str | None) -> None:
    opened = await store.open_signed(**await parts_of(store, filename=filename))
    assert opened.path.read_bytes() == b"content"
    assert (opened.size, opened.content_type) == (7, "image/jpeg")


async def test_a_url_is_relative(store: DiskObjectStore) -> None:
    signed = await store.sign_url(KEY, filename="a b.jpg")
    expires = int((NOON + timedelta(seconds=4500)).timestamp())
    start = f"api/v1/objects/{KEY}?expires={expires}&signature="
    assert signed.url.startswith(start)
    assert signed.url.endswith("&filename=a%20b.jpg")
    assert signed.expires_at == NOON + timedelta(seconds=4500)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "images/u/j/original.jpg"},
        {"key": "images/u/i/../i/original.jpg"},
        {"key": f"{KEY}\n"},
        {"key": "\ud800"},
        {"expires": int(NOON.timestamp()) + 4501},
        {"expires": 10**30},
        {"filename": "b.jpg"},
        {"filename": None},
        {"filename": ""},
        {"signature": ""},
        {"signature": "A" * 22},
        {"signature": "ä"},
    ],
    ids=str,
)
async def test_a_url_with_any_part_changed_is_refused(store: DiskObjectStore, changed: dict[str, Any]) -> None:
    parts = await parts_of(store, filename="a.jpg")
    with pytest.raises(UrlInvalid):
        await store.open_signed(**parts | changed)


async def test_a_filename_cannot_be_added_to_a_url_without_one(store: DiskObjectStore) -> None:
    parts = await parts_of(store)
    for filename in ("", "a.jpg"):
        with pytest.raises(UrlInvalid):
            await store.open_signed(**parts | {"filename": filename})


async def test_a_url_expires_at_the_time_it_contains(store: DiskObjectStore) -> None:
    parts = await parts_of(store)
    expires_at = NOON + timedelta(seconds=4500)
    await store.open_signed(**parts | {"now": expires_at - timedelta(microseconds=1)})
    with pytest.raises(UrlExpired):
        await store.open_signed(**parts | {"now": expires_at})


async def test_the_error_of_a_forged_url_does_not_depend_on_its_expiry(store: DiskObjectStore) -> None:
    parts = await parts_of(store)
    with pytest.raises(UrlInvalid):
        await store.open_signed(**parts | {"now": NOON + timedelta(days=1), "signature": "A" * 22})


async def test_a_url_signed_with_another_key_is_refused(store: DiskObjectStore) -> None:
    parts = await parts_of(store)
    message = f"{KEY}\n{parts['expires']}".encode()
    await store.open_signed(**parts | {"signature": sign(URL_KEY, message)})
    with pytest.raises(UrlInvalid):
        await store.open_signed(**parts | {"signature": sign(b"another", message)})


async def test_a_url_of_a_deleted_object_is_refused(store: DiskObjectStore) -> None:
    parts = await parts_of(store)
    await store.delete([KEY])
    with pytest.raises(ObjectMissing):
        await store.open_signed(**parts)


@pytest.mark.parametrize(
    "name, content_type",
    [
        ("200.webp", "image/webp"),
        ("o.heic", "image/heic"),
        ("o.html", "application/octet-stream"),
        ("o", "application/octet-stream"),
    ],
)
async def test_the_content_type_is_determined_by_the_extension(
    store: DiskObjectStore, name: str, content_type: str
) -> None:
    await store.put(f"a/{name}", b"x", content_type="text/html")
    assert (await store.open_signed(**await parts_of(store, key=f"a/{name}"))).content_type == content_type


async def test_the_etag_changes_only_with_the_content(store: DiskObjectStore) -> None:
    parts = await parts_of(store)
    first = (await store.open_signed(**parts)).etag
    assert (await store.open_signed(**parts)).etag == first
    assert first.startswith('"')
    assert first.endswith('"')
    await store.put(KEY, b"CONTENT", content_type="image/jpeg")
    assert (await store.open_signed(**parts)).etag != first


FORM_KEY = "incoming/u/i"
SHA256 = "ab" * 32
EXPIRES_AT = NOON + timedelta(hours=1)


async def form_of(store: DiskObjectStore, *, sha256: str | None = SHA256) -> PresignedPost:
    return await store.presign_post(FORM_KEY, content_type="image/png", size=5, sha256=sha256, expires_at=EXPIRES_AT)


async def test_the_url_of_a_form_is_relative_and_its_fields_are_readable(store: DiskObjectStore) -> None:
    form = await form_of(store)
    assert (form.url, form.expires_at) == ("api/v1/objects", EXPIRES_AT)
    assert form.url == FORM_URL
    assert dict(form.fields) == {
        "key": FORM_KEY,
        "Content-Type": "image/png",
        "size": "5",
        "expires": str(int(EXPIRES_AT.timestamp())),
        "sha256": SHA256,
        "signature": form.fields["signature"],
    }


@pytest.mark.parametrize("sha256", [None, SHA256])
async def test_a_form_allows_what_it_was_signed_for(store: DiskObjectStore, sha256: str | None) -> None:
    form = await form_of(store, sha256=sha256)
    assert store.verify_post(form.fields, now=NOON) == PresignedPostClaims(FORM_KEY, "image/png", 5, sha256)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "incoming/u/j"},
        {"key": KEY},
        {"key": "\ud800"},
        {"Content-Type": "image/jpeg"},
        {"size": "6"},
        {"size": "05"},
        {"size": "x"},
        {"expires": str(int(EXPIRES_AT.timestamp()) + 1)},
        {"sha256": "cd" * 32},
        {"sha256": ""},
        {"signature": ""},
        {"signature": "A" * 22},
        {"signature": "ä"},
        {"more": ""},
    ],
    ids=str,
)
async def test_a_form_with_any_field_changed_or_added_is_refused(
    store: DiskObjectStore, changed: dict[str, str]
) -> None:
    form = await form_of(store)
    with pytest.raises(FormInvalid):
        store.verify_post({**form.fields, **changed}, now=NOON)


async def test_a_form_with_any_field_removed_is_refused(store: DiskObjectStore) -> None:
    form = await form_of(store)
    for name in form.fields:
        with pytest.raises(FormInvalid):
            store.verify_post({other: form.fields[other] for other in form.fields if other != name}, now=NOON)
    with pytest.raises(FormInvalid):
        store.verify_post({}, now=NOON)


async def test_the_values_of_two_fields_cannot_be_exchanged(store: DiskObjectStore) -> None:
    fields = dict((await form_of(store)).fields)
    fields |= {"key": fields["Content-Type"], "Content-Type": fields["key"]}
    with pytest.raises(FormInvalid):
        store.verify_post(fields, now=NOON)


async def test_the_order_of_the_fields_does_not_matter(store: DiskObjectStore) -> None:
    form = await form_of(store)
    assert store.verify_post(dict(reversed(list(form.fields.items()))), now=NOON).key == FORM_KEY


async def test_a_form_expires_at_the_time_it_contains(store: DiskObjectStore) -> None:
    form = await form_of(store)
    store.verify_post(form.fields, now=EXPIRES_AT - timedelta(microseconds=1))
    with pytest.raises(FormExpired):
        store.verify_post(form.fields, now=EXPIRES_AT)


async def test_the_error_of_a_forged_form_does_not_depend_on_its_expiry(store: DiskObjectStore) -> None:
    form = await form_of(store)
    with pytest.raises(FormInvalid):
        store.verify_post({**form.fields, "size": "6"}, now=EXPIRES_AT)


async def test_urls_and_forms_have_different_keys(store: DiskObjectStore) -> None:
    fields = dict((await form_of(store)).fields)
    signature = fields.pop("signature")
    form_message = json.dumps(sorted(fields.items())).encode()
    assert sign(derive_key(URL_KEY.hex(), "object-form"), form_message) == signature
    with pytest.raises(FormInvalid):
        store.verify_post(fields | {"signature": sign(URL_KEY, form_message)}, now=NOON)
    parts = await parts_of(store)
    url_message = f"{KEY}\n{parts['expires']}".encode()
    assert sign(URL_KEY, url_message) == parts["signature"]
    with pytest.raises(UrlInvalid):
        await store.open_signed(**parts | {"signature": sign(derive_key(URL_KEY.hex(), "object-form"), url_message)})
