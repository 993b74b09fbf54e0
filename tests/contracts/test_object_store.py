"""The contract of every object store, tested with a folder on disk and with a bucket."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from app.container.aws import AwsClient
from app.domain.errors import AppError, DependencyUnavailable, ObjectMissing, UploadTooLarge
from app.domain.objects import PresignedPost, SignedUrls
from tests.aws_emulators import AwsEmulator
from tests.contracts.object_stores import TTL, WINDOW, Subject, disk_subject, file_of, open_s3, s3_subject

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
NASTY_NAME = 'für "Élise"\r\n写真 100%+&.jpg'
REFUSED = (AppError, httpx.HTTPStatusError)


@pytest.fixture(scope="module", params=["disk", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[AwsClient | None]:
    if kind == "disk":
        yield None
        return
    aws: AwsEmulator = request.getfixturevalue("aws")
    async with open_s3(aws.service("s3")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def subject(
    connection: AwsClient | None, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Subject]:
    if connection is None:
        async with disk_subject(tmp_path / "objects") as made:
            yield made
    else:
        async with s3_subject(request.getfixturevalue("aws"), connection) as made:
            yield made


async def put_file(subject: Subject, name: str, data: bytes, *, size: int | None = None) -> None:
    with file_of(data) as file:
        await subject.store.put_file(
            subject.prefix + name,
            file,
            size=len(data) if size is None else size,
            sha256=hashlib.sha256(data).hexdigest(),
            content_type="image/jpeg",
        )


async def test_stored_object_is_read_back_completely(subject: Subject) -> None:
    data = os.urandom(200_000)
    await subject.put("a.jpg", data)
    assert await subject.read("a.jpg") == data


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 8 * MIB + 1, 20 * MIB])
async def test_file_of_any_size_is_read_back_completely(subject: Subject, size: int) -> None:
    data = os.urandom(size)
    await put_file(subject, "a.jpg", data)
    assert await subject.read("a.jpg") == data
    (found,) = await subject.walk()
    assert (found.key, found.size) == (f"{subject.prefix}a.jpg", size)


async def test_modification_time_uses_the_clock_of_the_store(subject: Subject) -> None:
    before = await subject.store.now()
    await subject.put("a.jpg")
    after = await subject.store.now()
    (found,) = await subject.walk()
    # S3 returns both in whole seconds.
    second = timedelta(seconds=1)
    assert before - second <= found.modified_at <= after + second
    assert after - before < timedelta(minutes=5)


async def test_only_the_given_size_is_stored(subject: Subject) -> None:
    with file_of(b"wanted, not this") as file:
        sha256 = hashlib.sha256(b"wanted").hexdigest()
        await subject.store.put_file(f"{subject.prefix}a.jpg", file, size=6, sha256=sha256, content_type="image/jpeg")
    assert await subject.read("a.jpg") == b"wanted"


async def test_file_position_is_ignored_and_kept(subject: Subject) -> None:
    data = os.urandom(9 * MIB)
    with file_of(data) as file:
        file.seek(77)
        await subject.store.put_file(
            f"{subject.prefix}a.jpg",
            file,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            content_type="image/jpeg",
        )
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 77
    assert await subject.read("a.jpg") == data


@pytest.mark.parametrize("size", [8, 40])
async def test_large_file_is_never_completely_in_memory(subject: Subject, size: int) -> None:
    data = bytes(size * MIB)
    sha256 = hashlib.sha256(data).hexdigest()
    with file_of(data) as file:
        tracemalloc.start()
        try:
            await subject.store.put_file(
                f"{subject.prefix}a.jpg", file, size=len(data), sha256=sha256, content_type="image/jpeg"
            )
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 5 * MIB


async def test_later_put_replaces_an_earlier_one(subject: Subject) -> None:
    await subject.put("a.jpg", b"first, and longer")
    await subject.put("a.jpg", b"second")
    assert await subject.read("a.jpg") == b"second"


async def test_concurrent_puts_of_one_key_leave_one_complete_object(subject: Subject) -> None:
    contents = [bytes([n]) * (100_000 + n) for n in range(8)]
    await asyncio.gather(*(put_file(subject, "a.jpg", content) for content in contents))
    assert await subject.read("a.jpg") in contents
    assert len(await subject.walk()) == 1


@pytest.mark.parametrize("size, said", [(1 * MIB, 2 * MIB), (11 * MIB, 20 * MIB)])
async def test_truncated_file_is_not_stored(subject: Subject, size: int, said: int) -> None:
    with pytest.raises(DependencyUnavailable):
        await put_file(subject, "a.jpg", bytes(size), size=said)
    assert await subject.walk() == []


async def test_truncated_file_does_not_change_the_existing_object(subject: Subject) -> None:
    await subject.put("a.jpg", b"before")
    with pytest.raises(DependencyUnavailable):
        await put_file(subject, "a.jpg", bytes(9 * MIB), size=12 * MIB)
    assert await subject.read("a.jpg") == b"before"


async def test_a_file_with_another_checksum_is_not_stored(subject: Subject) -> None:
    if not subject.checks_content:
        pytest.skip("this emulator does not compare checksums")
    with file_of(b"content") as file, pytest.raises(DependencyUnavailable):
        await subject.store.put_file(
            f"{subject.prefix}a.jpg",
            file,
            size=7,
            sha256=hashlib.sha256(b"other").hexdigest(),
            content_type="image/jpeg",
        )
    assert await subject.walk() == []


async def test_an_object_has_a_size_from_its_put_to_its_delete(subject: Subject) -> None:
    key = f"{subject.prefix}a/b.jpg"
    assert await subject.store.size(key) is None
    await subject.put("a/b.jpg", b"content")
    assert await subject.store.size(key) == 7
    assert await subject.store.size(f"{subject.prefix}a") is None
    assert await subject.store.size(f"{key}/c") is None
    await subject.put("a/b.jpg", b"")
    assert await subject.store.size(key) == 0
    await subject.store.delete([key])
    assert await subject.store.size(key) is None


async def fetch(subject: Subject, key: str, *, max_bytes: int) -> tuple[bytes, str]:
    with file_of(b"") as file:
        sha256 = await subject.store.fetch(key, file, max_bytes=max_bytes)
        return os.pread(file.fileno(), max_bytes + 1, 0), sha256


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 9 * MIB + 1])
async def test_object_of_any_size_is_fetched_completely(subject: Subject, size: int) -> None:
    data = os.urandom(size)
    await put_file(subject, "a.jpg", data)
    assert await fetch(subject, f"{subject.prefix}a.jpg", max_bytes=size) == (data, hashlib.sha256(data).hexdigest())


async def test_objects_can_be_fetched_concurrently(subject: Subject) -> None:
    contents = [bytes([n]) * (MIB + n) for n in range(8)]
    for n, data in enumerate(contents):
        await subject.put(f"{n}.jpg", data)
    keys = [f"{subject.prefix}{n}.jpg" for n in range(8)]
    fetched = await asyncio.gather(*(fetch(subject, key, max_bytes=2 * MIB) for key in keys))
    assert [data for data, _ in fetched] == contents


async def test_large_object_is_never_completely_in_memory(subject: Subject) -> None:
    await put_file(subject, "a.jpg", bytes(40 * MIB))
    with file_of(b"") as file:
        tracemalloc.start()
        try:
            await subject.store.fetch(f"{subject.prefix}a.jpg", file, max_bytes=40 * MIB)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 5 * MIB


async def test_missing_object_cannot_be_fetched(subject: Subject) -> None:
    key = await subject.put("a/b.jpg")
    for missing in (f"{subject.prefix}never-was.jpg", f"{subject.prefix}a", f"{key}/c"):
        with pytest.raises(ObjectMissing):
            await fetch(subject, missing, max_bytes=10)


@pytest.mark.parametrize("size", [10, MIB])
async def test_at_most_the_given_size_is_fetched(subject: Subject, size: int) -> None:
    key = await subject.put("a.jpg", bytes(size))
    with file_of(b"") as file:
        with pytest.raises(UploadTooLarge):
            await subject.store.fetch(key, file, max_bytes=size - 1)
        assert os.fstat(file.fileno()).st_size < size


async def test_delete_removes_only_the_given_keys(subject: Subject) -> None:
    gone, kept = await subject.put("a/gone.jpg"), await subject.put("a/kept.jpg")
    await subject.store.delete([gone, f"{subject.prefix}a/never-was.jpg", f"{subject.prefix}a", f"{kept}/below"])
    await subject.store.delete([gone])
    await subject.store.delete([])
    assert await subject.names() == ["a/kept.jpg"]


async def test_more_than_one_page_of_objects_is_walked_and_deleted(subject: Subject) -> None:
    names = [f"{n % 10}/{n:04}" for n in range(1_005)]
    for start in range(0, len(names), 100):
        await asyncio.gather(*(subject.put(name, b"") for name in names[start : start + 100]))
    assert await subject.names() == sorted(names)
    await subject.store.delete([subject.prefix + name for name in names])
    assert await subject.names() == []


async def test_walk_yields_keys_in_bytewise_order(subject: Subject) -> None:
    names = ["a/z", "a-b", "a.b/c", "a/b", "aB", "a0", "a_", "ab", "B", "-", ".hidden", "a/b-/c", "a/b.x/c"]
    for name in names:
        await subject.put(name, name.encode())
    found = await subject.walk()
    assert [entry.key for entry in found] == sorted(subject.prefix + name for name in names)
    assert [entry.size for entry in found] == [len(name) for name in sorted(names)]


@pytest.mark.parametrize(
    "prefix, found",
    [
        ("", ["a/b/1", "a/b/2", "a/bc/1", "ab"]),
        ("a", ["a/b/1", "a/b/2", "a/bc/1", "ab"]),
        ("a/", ["a/b/1", "a/b/2", "a/bc/1"]),
        ("a/b", ["a/b/1", "a/b/2", "a/bc/1"]),
        ("a/b/", ["a/b/1", "a/b/2"]),
        ("a/b/2", ["a/b/2"]),
        ("a/b/2/", []),
        ("c/d", []),
    ],
)
async def test_walk_yields_the_keys_that_begin_with_the_prefix(subject: Subject, prefix: str, found: list[str]) -> None:
    for name in ("a/b/1", "a/b/2", "a/bc/1", "ab"):
        await subject.put(name)
    assert await subject.names(prefix) == found


async def test_any_range_of_an_object_is_read(subject: Subject) -> None:
    key = await subject.put("a", b"0123456789")
    for start, size in ((0, 10), (0, 3), (4, 3), (8, 10), (10, 5), (30, 5)):
        assert await subject.store.read(key, start=start, size=size) == b"0123456789"[start : start + size]
    assert await subject.store.read(await subject.put("empty", b""), start=0, size=5) == b""
    with pytest.raises(ObjectMissing):
        await subject.store.read(f"{subject.prefix}missing", start=0, size=5)


async def test_walk_continues_after_a_key(subject: Subject) -> None:
    names = ["a-b/1", "a/b/1", "a/b/2", "a/bc/1", "ab", "b"]
    for name in names:
        await subject.put(name)
    # Some of these are keys, and others lie before, between or after keys.
    for after in (*names, "a", "a/", "a/b", "a/b/", "a/b/10", "a/b/z", "a/c", "aa", "c"):
        walk = subject.store.walk(subject.prefix, after=subject.prefix + after)
        found = [entry.key.removeprefix(subject.prefix) async for entry in walk]
        assert found == [name for name in names if name > after], after


async def test_objects_may_be_added_and_deleted_during_a_walk(subject: Subject) -> None:
    for name in ("a/1", "b/1", "c/1"):
        await subject.put(name)
    found = []
    async for entry in subject.store.walk(subject.prefix):
        found.append(entry.key)
        await subject.store.delete([entry.key])
    assert found == [f"{subject.prefix}{name}" for name in ("a/1", "b/1", "c/1")]
    assert await subject.walk() == []


async def test_put_concurrent_with_a_delete_is_not_lost(subject: Subject) -> None:
    await asyncio.gather(
        *(subject.put(f"a/b/{n}") for n in range(100)),
        *(subject.store.delete([f"{subject.prefix}a/b/other-{n}"]) for n in range(100)),
    )
    assert len(await subject.walk()) == 100


@pytest.mark.parametrize(
    "key",
    ["", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/..", ".", "./a", "a/./b", "a\\b", "a\0", "a\n", "a b", "ä",
     "~drafts/a", "a%2Fb", "a?b", "a" * 256, "a/" * 512 + "a"],
)  # fmt: skip
async def test_invalid_key_is_rejected(subject: Subject, key: str) -> None:
    store = subject.store
    with pytest.raises(ValueError, match="not a valid key"):
        await store.put(key, b"x", content_type="image/jpeg")
    with file_of(b"") as file, pytest.raises(ValueError, match="not a valid key"):
        await store.put_file(key, file, size=0, sha256="", content_type="image/jpeg")
    with pytest.raises(ValueError, match="not a valid key"):
        await store.delete([key])
    with pytest.raises(ValueError, match="not a valid key"):
        await store.size(key)
    with file_of(b"") as file, pytest.raises(ValueError, match="not a valid key"):
        await store.fetch(key, file, max_bytes=1)
    with pytest.raises(ValueError, match="not a valid key"):
        await store.sign_url(key)
    with pytest.raises(ValueError, match="not a valid key"):
        await store.sign_urls(["a.jpg", key])
    for tried in (key, f"incoming/{key}"):
        with pytest.raises(ValueError, match="not a valid key"):
            await store.presign_post(tried, content_type="image/png", size=1, sha256=None, expires_at=datetime.now(UTC))


@pytest.mark.parametrize("prefix", ["..", "../", "/", "a//", "a/../", "a/..", "a\\", "~", "a b"])
async def test_invalid_prefix_is_rejected(subject: Subject, prefix: str) -> None:
    if prefix in {"..", "a/.."}:
        assert [found async for found in subject.store.walk(prefix)] == []
        return
    with pytest.raises(ValueError, match="not the prefix of a valid key"):
        [found async for found in subject.store.walk(prefix)]


async def test_url_stays_the_same_within_a_window(subject: Subject) -> None:
    key = f"{subject.prefix}a.jpg"
    subject.clock.now = datetime.fromtimestamp(subject.clock() // WINDOW * WINDOW, UTC)
    first = await subject.store.sign_url(key, filename=NASTY_NAME)
    subject.clock.now += timedelta(seconds=WINDOW - 1)
    assert await subject.store.sign_url(key, filename=NASTY_NAME) == first
    subject.clock.now += timedelta(seconds=1)
    assert (await subject.store.sign_url(key, filename=NASTY_NAME)).url != first.url


@pytest.mark.parametrize("seconds", [0, 1, WINDOW - 1])
async def test_url_is_valid_for_at_least_its_lifetime(subject: Subject, seconds: int) -> None:
    subject.clock.now = datetime.fromtimestamp(subject.clock() // WINDOW * WINDOW + seconds, UTC)
    signed = await subject.store.sign_url(f"{subject.prefix}a.jpg")
    lifetime = signed.expires_at - subject.clock.now
    assert timedelta(seconds=TTL) <= lifetime <= timedelta(seconds=TTL + WINDOW)


async def test_urls_that_are_signed_together_are_those_of_each_key(subject: Subject) -> None:
    keys = [f"{subject.prefix}{name}.jpg" for name in ("b", "a", "c")]
    signed = await subject.store.sign_urls(keys)
    each = [await subject.store.sign_url(key) for key in keys]
    assert signed == SignedUrls([one.url for one in each], each[0].expires_at)


async def test_a_url_with_a_filename_reads_the_object_too(subject: Subject) -> None:
    key = await subject.put("a.jpg", b"content")
    signed = await subject.store.sign_url(key, filename=NASTY_NAME)
    assert signed.url.isascii()
    assert await subject.fetch(signed.url) == b"content"


async def test_url_of_a_deleted_object_returns_nothing(subject: Subject) -> None:
    with pytest.raises(REFUSED):
        await subject.read("never-was.jpg")


async def test_a_url_for_one_key_does_not_open_another(subject: Subject) -> None:
    if not subject.checks_signatures:
        pytest.skip("this emulator takes any signature")
    await subject.put("a.jpg")
    await subject.put("b.jpg")
    signed = await subject.store.sign_url(f"{subject.prefix}a.jpg")
    with pytest.raises(REFUSED):
        await subject.fetch(signed.url.replace("a.jpg", "b.jpg"))


async def test_url_with_a_changed_filename_is_rejected(subject: Subject) -> None:
    if not subject.checks_signatures:
        pytest.skip("this emulator takes any signature")
    key = await subject.put("a.jpg")
    signed = await subject.store.sign_url(key, filename="holiday.jpg")
    with pytest.raises(REFUSED):
        await subject.fetch(signed.url.replace("holiday", "invoice"))


async def test_expired_url_is_rejected(subject: Subject) -> None:
    if not subject.checks_signatures:
        pytest.skip("this emulator takes expired URLs")
    key = await subject.put("a.jpg")
    subject.clock.now -= timedelta(seconds=TTL + WINDOW)
    signed = await subject.store.sign_url(key)
    assert signed.expires_at <= datetime.now(UTC)
    with pytest.raises(REFUSED):
        await subject.fetch(signed.url)


async def presign_post(
    subject: Subject, data: bytes, *, sha256: str | None = None, seconds: float = 600
) -> tuple[str, PresignedPost]:
    key = f"incoming/{subject.prefix}a"
    expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
    form = await subject.store.presign_post(
        key, content_type="image/png", size=len(data), sha256=sha256, expires_at=expires_at
    )
    return key, form


async def assert_refused(subject: Subject, key: str, form: PresignedPost, data: bytes) -> None:
    if not subject.checks_signatures:
        pytest.skip("this emulator takes any form")
    with pytest.raises(REFUSED):
        await subject.post(form, data)
    assert await subject.store.size(key) is None
    assert await subject.store.size(f"{key}x") is None


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("size", [0, 1, MIB])
async def test_a_form_stores_what_it_was_signed_for(subject: Subject, size: int, announced: bool) -> None:  # noqa: FBT001
    data = os.urandom(size)
    sha256 = hashlib.sha256(data).hexdigest()
    key, form = await presign_post(subject, data, sha256=sha256 if announced else None)
    await subject.post(form, data)
    assert await fetch(subject, key, max_bytes=size) == (data, sha256)


async def test_form_is_valid_until_its_expiration(subject: Subject) -> None:
    expires_at = datetime(2027, 1, 31, 12, 30, 15, 999_999, tzinfo=UTC)
    form = await subject.store.presign_post(
        "incoming/a", content_type="image/png", size=1, sha256=None, expires_at=expires_at
    )
    assert form.expires_at == datetime(2027, 1, 31, 12, 30, 15, tzinfo=UTC)
    elsewhere = expires_at.astimezone(timezone(timedelta(hours=9)))
    assert form == await subject.store.presign_post(
        "incoming/a", content_type="image/png", size=1, sha256=None, expires_at=elsewhere
    )


@pytest.mark.parametrize("key", ["images/u/i/original.jpg", "incoming", "incomings/a", "a/incoming/b"])
async def test_form_is_signed_only_for_the_incoming_prefix(subject: Subject, key: str) -> None:
    with pytest.raises(ValueError, match="must not write"):
        await subject.store.presign_post(
            key, content_type="image/png", size=1, sha256=None, expires_at=datetime.now(UTC) + timedelta(hours=1)
        )


@pytest.mark.parametrize("sent", [b"12345", b"123", b""])
async def test_form_rejects_other_sizes(subject: Subject, sent: bytes) -> None:
    key, form = await presign_post(subject, b"1234")
    await assert_refused(subject, key, form, sent)


async def test_form_rejects_other_content(subject: Subject) -> None:
    if not subject.checks_content_of_forms:
        pytest.skip("this emulator does not look at the checksum in a form")
    key, form = await presign_post(subject, b"1234", sha256=hashlib.sha256(b"1234").hexdigest())
    await assert_refused(subject, key, form, b"4321")


async def test_form_with_a_changed_or_missing_field_is_rejected(subject: Subject) -> None:
    key, form = await presign_post(subject, b"1234", sha256=hashlib.sha256(b"1234").hexdigest())
    for name, value in form.fields.items():
        changed = dataclasses.replace(form, fields={**form.fields, name: f"{value}x"})
        await assert_refused(subject, key, changed, b"1234")
        fewer = {other: form.fields[other] for other in form.fields if other != name}
        await assert_refused(subject, key, dataclasses.replace(form, fields=fewer), b"1234")


async def test_form_with_an_additional_field_is_rejected(subject: Subject) -> None:
    key, form = await presign_post(subject, b"1234")
    more = {"Content-Encoding": "gzip", **form.fields}
    await assert_refused(subject, key, dataclasses.replace(form, fields=more), b"1234")


async def test_expired_form_is_rejected(subject: Subject) -> None:
    key, form = await presign_post(subject, b"1234", seconds=-1)
    await assert_refused(subject, key, form, b"1234")


@pytest.mark.parametrize("size", [1, MIB])
async def test_a_put_url_stores_a_body_of_exactly_its_size(subject: Subject, size: int) -> None:
    key, data = f"incoming/{subject.prefix}a", os.urandom(size)
    expires_at = datetime.now(UTC) + timedelta(minutes=10)
    signed = await subject.store.presign_put(key, size=size, expires_at=expires_at)
    assert abs(signed.expires_at - expires_at) <= timedelta(seconds=1)
    if subject.checks_signatures:
        for other in (data[1:], data + b"x"):
            with pytest.raises(REFUSED):
                await subject.send(signed.url, other)
        with pytest.raises(REFUSED):
            await subject.send(signed.url.replace("/a", "/b").replace("%2Fa", "%2Fb"), data)
        assert await subject.store.size(key) is None
    await subject.send(signed.url, data)
    assert await fetch(subject, key, max_bytes=size) == (data, hashlib.sha256(data).hexdigest())


async def test_put_url_is_signed_only_for_the_incoming_prefix(subject: Subject) -> None:
    with pytest.raises(ValueError, match="must not write"):
        await subject.store.presign_put("images/u/i/original.jpg", size=1, expires_at=datetime.now(UTC))


async def test_expired_put_url_is_rejected(subject: Subject) -> None:
    if not subject.checks_signatures:
        pytest.skip("this emulator takes expired URLs")
    subject.clock.now -= timedelta(minutes=10)
    expires_at = datetime.now(UTC) - timedelta(minutes=1)
    signed = await subject.store.presign_put(f"incoming/{subject.prefix}a", size=1, expires_at=expires_at)
    with pytest.raises(REFUSED):
        await subject.send(signed.url, b"x")


async def test_check_passes_for_a_usable_store(subject: Subject) -> None:
    await subject.store.check()
    assert await subject.walk() == []


async def test_find_returns_the_size_and_the_time(subject: Subject) -> None:
    key = await subject.put("a.jpg", b"12345")
    found = await subject.store.find(key)
    assert found is not None
    assert (found.key, found.size) == (key, 5)
    (walked,) = await subject.walk()
    assert abs(found.modified_at - walked.modified_at) < timedelta(seconds=1)
    assert await subject.store.find(f"{subject.prefix}missing.jpg") is None


async def test_touch_sets_the_time_and_keeps_the_content(subject: Subject) -> None:
    key = await subject.put("a.jpg", b"12345")
    before = await subject.store.find(key)
    await asyncio.sleep(1.1)  # S3 returns whole seconds.
    await subject.store.touch(key)
    after = await subject.store.find(key)
    assert before is not None
    assert after is not None
    assert after.modified_at > before.modified_at
    assert await subject.read("a.jpg") == b"12345"
    await subject.store.touch(f"{subject.prefix}missing.jpg")
    assert await subject.names() == ["a.jpg"]
