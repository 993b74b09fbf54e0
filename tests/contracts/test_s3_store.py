"""What the store in S3 promises beyond the port: its headers, no parts left behind, and an end to every wait."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.adapters import s3
from app.adapters.s3 import S3Connection, S3ObjectStore, open_s3
from app.core.errors import DependencyUnavailable
from app.core.models import SignedUrl
from app.core.ports import ObjectStore
from tests.contracts.object_stores import Subject, file_of, s3_subject
from tests.stand_ins import StandIn, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(aws: StandIn) -> AsyncIterator[S3Connection]:
    async with open_s3(region=aws.region, endpoint_url=aws.url, access_key="test", secret_key="test") as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def subject(aws: StandIn, connection: S3Connection) -> AsyncIterator[Subject]:
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
async def test_objects_carry_their_type_and_may_be_cached_for_ever(subject: Subject, size: int) -> None:
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


async def test_a_part_of_an_object_can_be_asked_for(subject: Subject) -> None:
    key = await subject.put("a.jpg", b"0123456789")
    answer = await get(subject, key, Range="bytes=2-4")
    assert (answer.status_code, answer.content) == (206, b"234")
    assert answer.headers["Content-Range"] == "bytes 2-4/10"


async def unfinished(subject: Subject, aws: StandIn, connection: S3Connection) -> int:
    answer = await connection.client.list_multipart_uploads(Bucket=aws.bucket, Prefix=subject.prefix)
    return len(answer.get("Uploads", []))


async def test_a_large_put_that_fails_leaves_no_parts(subject: Subject, aws: StandIn, connection: S3Connection) -> None:
    with file_of(bytes(11 * MIB)) as file, pytest.raises(DependencyUnavailable):
        await subject.store.put_file(
            f"{subject.prefix}a", file, size=20 * MIB, sha256="0" * 64, content_type="image/png"
        )
    assert await unfinished(subject, aws, connection) == 0


async def test_a_large_put_that_is_cancelled_leaves_no_parts(
    subject: Subject, aws: StandIn, connection: S3Connection
) -> None:
    put = asyncio.create_task(put_file(subject.store, f"{subject.prefix}a", size=40 * MIB))
    while not await unfinished(subject, aws, connection):
        assert not put.done()
        await asyncio.sleep(0.01)
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert await unfinished(subject, aws, connection) == 0
    assert await subject.walk() == []


async def test_no_more_keys_are_deleted_with_one_request_than_s3_takes(
    subject: Subject, connection: S3Connection
) -> None:
    counts: list[int] = []

    def count(params: dict[str, Any], **_event: object) -> None:
        counts.append(params["body"].count(b"<Key>"))

    connection.client.meta.events.register("before-call.s3.DeleteObjects", count)
    await subject.store.delete([f"{subject.prefix}{n}" for n in range(2_001)])
    connection.client.meta.events.unregister("before-call.s3.DeleteObjects", count)
    assert counts == [1000, 1000, 1]


async def test_a_bucket_that_is_missing_is_told_with_what_to_run(connection: S3Connection) -> None:
    store = S3ObjectStore(connection.client, bucket="no-such-bucket-here", signer=NoSigner())
    with pytest.raises(LookupError, match=r"'no-such-bucket-here'.*setup_localstack\.sh.*infra/template\.yaml"):
        await store.check()


async def test_an_instance_without_credentials_is_told_so(monkeypatch: pytest.MonkeyPatch, aws: StandIn) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(LookupError, match="AWS_ACCESS_KEY_ID"):
        async with open_s3(region=aws.region, endpoint_url=aws.url):
            pass


class NoSigner:
    async def sign(self, key: str, *, disposition: str | None = None) -> SignedUrl:
        raise NotImplementedError


@asynccontextmanager
async def server(answer: bytes | None) -> AsyncIterator[str]:
    """Answer every request with `answer`, or take it and never answer."""

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
    async with open_s3(region="eu-west-1", endpoint_url=url, access_key="test", secret_key="test") as opened:
        yield S3ObjectStore(opened.client, bucket="images", signer=NoSigner())


async def walk(store: S3ObjectStore) -> None:
    async for _ in store.walk(""):
        pass


USES: list[Callable[[S3ObjectStore], Awaitable[object]]] = [
    lambda store: store.put("a", b"x", content_type="image/png"),
    lambda store: put_file(store, "a", size=MIB),
    lambda store: put_file(store, "a", size=9 * MIB),
    lambda store: store.delete(["a"]),
    lambda store: store.exists("a"),
    lambda store: store.check(),
    walk,
]


async def outcomes_at(url: str) -> list[str]:
    async with store_at(url) as store:
        outcomes = await asyncio.gather(*(use(store) for use in USES), return_exceptions=True)
    return [f"{type(o).__name__}{' with a cause' if getattr(o, '__cause__', None) else ''}" for o in outcomes]


ALL_UNAVAILABLE = ["DependencyUnavailable with a cause"] * len(USES)


async def test_a_store_that_nobody_listens_for_is_unavailable() -> None:
    assert await outcomes_at(f"http://127.0.0.1:{free_port()}") == ALL_UNAVAILABLE


async def test_a_store_that_fails_is_unavailable() -> None:
    answers = {
        "throttled": reply("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>"),
        "broken": reply("500 Internal Server Error"),
        "proxy": reply("502 Bad Gateway", b"<html>nginx</html>"),
        "not allowed": reply("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>"),
        "hangs up": b"",
        "nonsense": b"nonsense",
    }

    # At once, because most of the time goes by between one attempt and the next.
    async def use_all(answer: bytes) -> list[str]:
        async with server(answer) as url:
            return await outcomes_at(url)

    outcomes = await asyncio.gather(*(use_all(answer) for answer in answers.values()))
    assert dict(zip(answers, outcomes, strict=True)) == dict.fromkeys(answers, ALL_UNAVAILABLE)


async def test_a_page_that_is_not_from_s3_is_not_taken_for_an_empty_list() -> None:
    async with server(reply("200 OK", b"<html><p>Sign in to the network<br></html>")) as url, store_at(url) as store:
        for use in (walk(store), store.delete(["a"])):
            with pytest.raises(DependencyUnavailable):
                await use


async def test_a_store_that_never_answers_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_CALL_SECONDS", 0.2)
    monkeypatch.setattr(s3, "_TRANSFER_SECONDS", 0.2)
    async with server(None) as url:
        assert await outcomes_at(url) == ALL_UNAVAILABLE


async def test_a_delete_that_s3_did_not_carry_out_is_an_error() -> None:
    body = b"""<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
        <Error><Key>a</Key><Code>InternalError</Code><Message>later</Message></Error></DeleteResult>"""
    async with server(reply("200 OK", body)) as url, store_at(url) as store:
        with pytest.raises(DependencyUnavailable) as caught:
            await store.delete(["a", "b"])
    assert "InternalError" in str(caught.value.__cause__)
