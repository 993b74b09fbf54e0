"""What the S3 store guarantees beyond the port: headers, no incomplete multipart uploads, and time limits."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import pytest
import pytest_asyncio
import stamina

from app.container.aws import AwsClient
from app.domain.errors import DependencyUnavailable, UploadTooLarge
from app.domain.objects import PresignedPost, SignedUrl, SignedUrls
from app.ports.storage import ObjectStore
from app.settings_fields import AwsService
from app.storage.s3 import store as s3
from app.storage.s3.store import S3ObjectStore
from tests.aws_emulators import AwsEmulator, free_port
from tests.contracts.object_stores import Subject, file_of, open_s3, s3_subject
from tests.reconcile_helpers import system_clock

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(aws: AwsEmulator) -> AsyncIterator[AwsClient]:
    async with open_s3(aws.service("s3")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def subject(aws: AwsEmulator, connection: AwsClient) -> AsyncIterator[Subject]:
    async with s3_subject(aws, connection) as made:
        yield made


async def put_file(store: ObjectStore, key: str, *, size: int) -> None:
    data = bytes(size)
    sha256 = hashlib.sha256(data).hexdigest()
    with file_of(data) as file:
        await store.put_file(key, file, size=size, sha256=sha256, content_type="image/png")


async def get(subject: Subject, key: str, *, filename: str | None = None, **headers: str) -> httpx.Response:
    signed = await subject.store.sign_url(key, filename=filename)
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(signed.url, headers=headers)


@pytest.mark.parametrize("size", [10, 9 * MIB])
async def test_objects_have_their_type_and_an_immutable_cache_policy(subject: Subject, size: int) -> None:
    key = f"{subject.prefix}a"
    await put_file(subject.store, key, size=size)
    answer = await get(subject, key)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert "Content-Disposition" not in answer.headers


async def test_a_url_with_a_filename_is_a_download_under_that_name(subject: Subject) -> None:
    key = await subject.put("a.jpg", b"content")
    answer = await get(subject, key, filename='für "É"\r\n写.jpg')
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"f_r ______.jpg\"; filename*=UTF-8''f%C3%BCr%20%22%C3%89%22__%E5%86%99.jpg"
    )


async def test_range_of_an_object_can_be_requested(subject: Subject) -> None:
    key = await subject.put("a.jpg", b"0123456789")
    answer = await get(subject, key, Range="bytes=2-4")
    assert (answer.status_code, answer.content) == (206, b"234")
    assert answer.headers["Content-Range"] == "bytes 2-4/10"


async def test_object_stored_with_a_form_has_the_declared_type(subject: Subject) -> None:
    key = f"incoming/{subject.prefix}a"
    form = await subject.store.presign_post(
        key, content_type="image/png", size=1, sha256=None, expires_at=datetime.now(UTC) + timedelta(hours=1)
    )
    await subject.post(form, b"x")
    assert (await get(subject, key)).headers["Content-Type"] == "image/png"


async def test_a_large_put_that_fails_leaves_no_parts(subject: Subject, aws: AwsEmulator) -> None:
    with file_of(bytes(11 * MIB)) as file, pytest.raises(DependencyUnavailable):
        await subject.store.put_file(
            f"{subject.prefix}a", file, size=20 * MIB, sha256="0" * 64, content_type="image/png"
        )
    assert aws.incomplete_uploads(subject.prefix) == 0


async def test_canceled_large_put_leaves_no_parts(subject: Subject, aws: AwsEmulator, connection: AwsClient) -> None:
    under_way = asyncio.Event()
    events = connection.client.meta.events
    events.register("before-call.s3.UploadPart", lambda **_: under_way.set(), unique_id="under way")
    put = asyncio.create_task(put_file(subject.store, f"{subject.prefix}a", size=40 * MIB))
    await under_way.wait()
    events.unregister("before-call.s3.UploadPart", unique_id="under way")
    assert aws.incomplete_uploads(subject.prefix) == 1
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert aws.incomplete_uploads(subject.prefix) == 0
    assert await subject.walk() == []


async def test_delete_requests_contain_at_most_as_many_keys_as_s3_allows(
    subject: Subject, connection: AwsClient
) -> None:
    counts: list[int] = []

    def count(params: dict[str, Any], **_event: object) -> None:
        counts.append(params["body"].count(b"<Key>"))

    connection.client.meta.events.register("before-call.s3.DeleteObjects", count)
    await subject.store.delete([f"{subject.prefix}{n}" for n in range(2_001)])
    connection.client.meta.events.unregister("before-call.s3.DeleteObjects", count)
    assert counts == [1000, 1000, 1]


async def test_missing_bucket_error_names_the_command_to_run(connection: AwsClient) -> None:
    store = S3ObjectStore(connection.client, bucket="no-such-bucket-here", signer=NoSigner(), clock=system_clock)
    with pytest.raises(RuntimeError, match=r"'no-such-bucket-here'.*setup_localstack\.sh.*infra/template\.yaml"):
        await store.check()


async def test_missing_credentials_are_reported(monkeypatch: pytest.MonkeyPatch, aws: AwsEmulator) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(RuntimeError, match="AWS_ACCESS_KEY_ID"):
        async with open_s3(replace(aws.service("s3"), access_key=None, secret_key=None)):
            pass


class NoSigner:
    async def sign_briefly(self, key: str, *, seconds: int, disposition: str | None = None) -> SignedUrl:
        raise NotImplementedError

    async def sign(self, key: str, *, disposition: str | None = None) -> SignedUrl:
        raise NotImplementedError

    async def sign_all(self, keys: Sequence[str]) -> SignedUrls:
        raise NotImplementedError

    async def presign_post(
        self, key: str, *, content_type: str, size: int, sha256: str | None, expires_at: datetime
    ) -> PresignedPost:
        raise NotImplementedError

    async def presign_put(self, key: str, *, size: int, expires_at: datetime) -> SignedUrl:
        raise NotImplementedError


@asynccontextmanager
async def server(answer: bytes | None) -> AsyncIterator[str]:
    """Respond to every request with `answer`, or never."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def reply(status: str, body: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def store_at(url: str) -> AsyncIterator[S3ObjectStore]:
    async with open_s3(AwsService("s3", "eu-west-1", url, "test", "test", None)) as opened:
        yield S3ObjectStore(opened.client, bucket="images", signer=NoSigner(), clock=system_clock)


async def fetch(store: S3ObjectStore) -> bytes:
    with file_of(b"") as file:
        sha256 = await store.fetch("a", file, max_bytes=MIB)
        data = os.pread(file.fileno(), MIB + 1, 0)
    assert sha256 == hashlib.sha256(data).hexdigest()
    return data


async def walk(store: S3ObjectStore) -> None:
    async for _ in store.walk(""):
        pass


USES: list[Callable[[S3ObjectStore], Awaitable[object]]] = [
    lambda store: store.put("a", b"x", content_type="image/png"),
    lambda store: put_file(store, "a", size=MIB),
    lambda store: put_file(store, "a", size=9 * MIB),
    lambda store: store.delete(["a"]),
    lambda store: store.size("a"),
    fetch,
    lambda store: store.check(),
    walk,
]


async def outcomes_at(url: str) -> list[str]:
    async with store_at(url) as store:
        outcomes = await asyncio.gather(*(use(store) for use in USES), return_exceptions=True)
    return [f"{type(o).__name__}{' with a cause' if getattr(o, '__cause__', None) else ''}" for o in outcomes]


ALL_UNAVAILABLE = ["DependencyUnavailable with a cause"] * len(USES)


async def test_unreachable_store_raises_dependency_unavailable() -> None:
    assert await outcomes_at(f"http://127.0.0.1:{free_port()}") == ALL_UNAVAILABLE


async def test_failing_store_raises_dependency_unavailable() -> None:
    answers = {
        "throttled": reply("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>"),
        "broken": reply("500 Internal Server Error"),
        "proxy": reply("502 Bad Gateway", b"<html>nginx</html>"),
        "not allowed": reply("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>"),
        "hangs up": b"",
        "nonsense": b"nonsense",
    }

    # The calls are concurrent, because most of the time passes between the attempts.
    async def use_all(answer: bytes) -> list[str]:
        async with server(answer) as url:
            return await outcomes_at(url)

    outcomes = await asyncio.gather(*(use_all(answer) for answer in answers.values()))
    assert dict(zip(answers, outcomes, strict=True)) == dict.fromkeys(answers, ALL_UNAVAILABLE)


async def test_response_that_is_not_from_s3_is_not_an_empty_list() -> None:
    async with server(reply("200 OK", b"<html><p>Sign in to the network<br></html>")) as url, store_at(url) as store:
        for use in (walk(store), store.delete(["a"])):
            with pytest.raises(DependencyUnavailable):
                await use


async def test_store_that_never_responds_raises_dependency_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_CALL_SECONDS", 0.2)
    monkeypatch.setattr(s3, "_TRANSFER_SECONDS", 0.2)
    async with server(None) as url:
        assert await outcomes_at(url) == ALL_UNAVAILABLE


async def test_delete_that_s3_did_not_perform_raises_an_error() -> None:
    body = b"""<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
        <Error><Key>a</Key><Code>InternalError</Code><Message>later</Message></Error></DeleteResult>"""
    async with server(reply("200 OK", body)) as url, store_at(url) as store:
        with pytest.raises(DependencyUnavailable) as caught:
            await store.delete(["a", "b"])
    assert "InternalError" in str(caught.value.__cause__)


async def test_keys_that_s3_could_not_delete_are_tried_again() -> None:
    failed = b"<Error><Key>a</Key><Code>SlowDown</Code><Message>later</Message></Error>"

    async def respond(number: int, writer: asyncio.StreamWriter) -> None:
        body = b"<DeleteResult>%s</DeleteResult>" % (failed if number == 0 else b"")
        writer.write(begin(len(body)) + body)
        await writer.drain()
        writer.close()

    counts: list[int] = []
    async with serving(respond) as url, store_at(url) as store:
        store._client.meta.events.register(
            "before-call.s3.DeleteObjects", lambda params, **_: counts.append(params["body"].count(b"<Key>"))
        )
        await store.delete(["a", "b"])
    assert counts == [2, 1]


@asynccontextmanager
async def serving(respond: Callable[[int, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """Respond to every request with `respond`, which receives the number of earlier requests."""
    numbers = count()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                await reader.readuntil(b"\r\n\r\n")
                await respond(next(numbers), writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def begin(size: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()


@pytest.fixture
def no_pause() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.mark.parametrize("broken", [1, 2])
async def test_interrupted_fetch_is_restarted(no_pause: None, broken: int) -> None:
    async def respond(number: int, writer: asyncio.StreamWriter) -> None:
        if number < broken:
            writer.write(begin(600_000) + b"old" * 150_000)
            await writer.drain()
            writer.close()
        else:
            writer.write(begin(7) + b"content")

    async with serving(respond) as url, store_at(url) as store:
        assert await fetch(store) == b"content"


async def test_repeatedly_interrupted_fetch_raises_dependency_unavailable(no_pause: None) -> None:
    numbers: list[int] = []

    async def respond(number: int, writer: asyncio.StreamWriter) -> None:
        numbers.append(number)
        writer.write(begin(10) + b"half")
        await writer.drain()
        writer.close()

    async with serving(respond) as url, store_at(url) as store:
        with pytest.raises(DependencyUnavailable):
            await fetch(store)
    assert numbers == [0, 1, 2]


async def test_endless_fetch_raises_dependency_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_TRANSFER_SECONDS", 0.2)

    monkeypatch.setattr(s3, "_MIN_BYTES_PER_SECOND", 100 * MIB)

    async def respond(_number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(begin(MIB))
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(respond) as url, store_at(url) as store:
        with pytest.raises(DependencyUnavailable):
            await fetch(store)


async def test_reading_stops_at_the_limit() -> None:
    hung_up = asyncio.Event()

    async def respond(_number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(begin(1 << 40))
        try:
            while True:
                writer.write(bytes(MIB))
                await writer.drain()
        except ConnectionError:
            hung_up.set()
            raise

    async with serving(respond) as url, store_at(url) as store:
        with pytest.raises(UploadTooLarge):
            await fetch(store)
        await hung_up.wait()


async def test_fetches_share_a_connection() -> None:
    connections: set[int] = set()

    async def respond(_number: int, writer: asyncio.StreamWriter) -> None:
        connections.add(id(writer))
        writer.write(begin(7) + b"content")

    async with serving(respond) as url, store_at(url) as store:
        for _ in range(5):
            assert await fetch(store) == b"content"
    assert len(connections) == 1


async def test_response_404_that_is_not_from_s3_is_not_a_missing_object() -> None:
    async with server(reply("404 Not Found", b"<html>nginx</html>")) as url, store_at(url) as store:
        with pytest.raises(DependencyUnavailable):
            await fetch(store)


async def test_fetch_to_a_full_disk_is_not_retried() -> None:
    numbers: list[int] = []

    async def respond(number: int, writer: asyncio.StreamWriter) -> None:
        numbers.append(number)
        writer.write(begin(200_000) + bytes(200_000))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with serving(respond) as url, store_at(url) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(DependencyUnavailable) as caught:
                await fetch(store)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.dependency == "disk"
    assert numbers == [0]


async def test_canceled_fetch_has_stopped_writing_when_the_caller_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    writing, may_go_on = threading.Event(), threading.Event()
    write = os.pwrite

    def write_late(*args: Any) -> int:
        writing.set()
        may_go_on.wait(300)
        return write(*args)

    async def respond(_number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(begin(7) + b"content")

    monkeypatch.setattr(os, "pwrite", write_late)
    async with serving(respond) as url, store_at(url) as store:
        with file_of(b"") as file:
            fetching = asyncio.create_task(store.fetch("a", file, max_bytes=10))
            await asyncio.to_thread(writing.wait, 30)
            fetching.cancel()
            assert await asyncio.wait([fetching], timeout=0.05) == (set(), {fetching})
            may_go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await fetching
            assert os.pread(file.fileno(), 10, 0) == b"content"
