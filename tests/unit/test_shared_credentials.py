"""Tests that temporary credentials are refreshed once for all URLs, and that no URL outlives them.

The AWS SDK loads them, as in a container with a role, from an HTTP server of the test.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from aiobotocore.session import AioSession
from aiobotocore.utils import AioContainerMetadataFetcher

from app.container.aws import open_aws_client
from app.domain.errors import DependencyUnavailable
from app.domain.objects import SignedUrl
from app.settings_fields import AwsService
from app.storage.s3.client import make_config
from app.storage.s3.credentials import SharedCredentials
from app.storage.s3.presigner import Presigner
from app.storage.s3.store import S3ObjectStore
from tests.unit.clock import NOON, ManualClock

TTL, WINDOW = 3600, 900


class Role:
    """The credentials of a role. Each request returns new ones, unless they are kept or the server fails."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.requests = 0
        self.is_failing = False
        self.kept_until: datetime | None = None

    def respond(self) -> bytes:
        self.requests += 1
        if self.is_failing:
            return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        end = self.kept_until or self.clock.now + timedelta(minutes=20)
        number = 1 if self.kept_until else self.requests
        keys = {"AccessKeyId": f"ASIA{number}", "SecretAccessKey": "secret", "Token": f"token-{number}"}
        body = json.dumps({**keys, "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return head.encode() + body


class TravelingClock(ManualClock):
    """A clock to which the time of the SDK is set, too."""

    def __init__(self, traveler: time_machine.Traveller) -> None:
        super().__init__()
        self._traveler = traveler
        self.advance()

    def advance(self, **duration: float) -> None:
        super().advance(**duration)
        self._traveler.move_to(self.now)


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    with time_machine.travel(NOON) as traveler:
        yield TravelingClock(traveler)


@asynccontextmanager
async def role_server(role: Role) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(role.respond())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/credentials"


@pytest.fixture
async def role(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Role]:
    role = Role(clock)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setattr(AioContainerMetadataFetcher, "SLEEP_TIME", 0)
    # The session of the process keeps the credentials that it loaded first.
    monkeypatch.setattr("app.container.aws.shared_session", functools.cache(AioSession))
    async with role_server(role) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        yield role


@pytest.fixture
async def store(role: Role, clock: ManualClock) -> AsyncIterator[S3ObjectStore]:
    service = AwsService("s3", "eu-west-1", None, access_key=None, secret_key=None, session_token=None)

    def now() -> float:
        return clock().timestamp()

    async with open_aws_client(service, make_config(path_style=False)) as aws:
        presigner = Presigner(
            SharedCredentials(aws.credentials),
            bucket="images",
            region="eu-west-1",
            endpoint_url=None,
            ttl_seconds=TTL,
            window_seconds=WINDOW,
            clock=now,
        )
        yield S3ObjectStore(aws.client, bucket="images", signer=presigner, clock=clock)


async def sign_page(store: S3ObjectStore) -> list[SignedUrl]:
    """Sign 100 URLs, all at the same time."""
    return await asyncio.gather(*(store.sign_url(f"images/{n}.jpg") for n in range(100)))


async def test_10_000_urls_need_one_refresh_and_none_is_promised_beyond_the_credentials(
    role: Role, clock: ManualClock, store: S3ObjectStore
) -> None:
    assert role.requests == 1
    first_end = NOON + timedelta(minutes=20)
    ends = {"ASIA1": first_end, "ASIA2": NOON + timedelta(minutes=26)}
    urls: set[str] = set()
    for _ in range(100):  # The pages are requested in the course of 10 minutes.
        for signed in await sign_page(store):
            [end] = [end for key, end in ends.items() if key in signed.url]
            assert clock.now < signed.expires_at == end
            urls.add(signed.url)
        clock.advance(seconds=6)

    assert role.requests == 2
    assert len(urls) == 200  # Two for each of the 100 keys: one before the refresh, one after it.


async def test_a_role_that_has_no_newer_credentials_yet_is_asked_once_a_minute(
    role: Role, clock: ManualClock, store: S3ObjectStore
) -> None:
    end = role.kept_until = NOON + timedelta(minutes=20)
    urls: set[str] = set()
    for _ in range(38):
        for signed in await sign_page(store):
            assert signed.expires_at == end
            urls.add(signed.url)
        clock.advance(seconds=30)

    assert 10 <= role.requests <= 16
    assert len(urls) == 200  # The URLs change with the window, at 12:15, and not with a refresh.


async def test_a_failed_refresh_makes_everything_that_is_signed_unavailable(
    role: Role, clock: ManualClock, store: S3ObjectStore
) -> None:
    clock.advance(minutes=11)
    role.is_failing = True
    before = role.requests
    hour = clock.now + timedelta(hours=1)
    outcomes = await asyncio.gather(
        store.sign_url("images/a.jpg"),
        store.sign_url("images/a.jpg", filename="a.jpg"),
        store.presign_post("incoming/a", content_type="image/png", size=1, sha256=None, expires_at=hour),
        store.presign_put("incoming/a", size=1, expires_at=hour),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [DependencyUnavailable] * 4
    assert all("CredentialRetrievalError" in repr(outcome.__cause__) for outcome in outcomes)  # type: ignore[union-attr]
    assert role.requests - before == AioContainerMetadataFetcher.RETRY_ATTEMPTS

    role.is_failing = False
    assert (await store.sign_url("images/a.jpg")).expires_at == clock.now + timedelta(minutes=20)


async def test_a_refresh_that_is_not_urgent_may_fail(role: Role, clock: ManualClock, store: S3ObjectStore) -> None:
    clock.advance(minutes=6)
    role.is_failing = True
    assert (await store.sign_url("images/a.jpg")).expires_at == NOON + timedelta(minutes=20)


async def test_a_canceled_request_does_not_cancel_the_refresh_of_others() -> None:
    class Source:
        def __init__(self) -> None:
            self.begun, self.may_end = asyncio.Event(), asyncio.Event()

        async def get_frozen_credentials(self) -> Keys:
            self.begun.set()
            await self.may_end.wait()
            return Keys()

    class Keys:
        access_key, secret_key, token = "ASIA", "secret", "token"

    source = Source()
    shared = SharedCredentials(source)
    canceled, other = (asyncio.create_task(shared.get(0)) for _ in range(2))
    await source.begun.wait()
    canceled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await canceled
    source.may_end.set()
    assert (await other).access_key == "ASIA"


async def test_keys_that_do_not_expire_are_loaded_once() -> None:
    service = AwsService("s3", "eu-west-1", None, access_key="AKIA", secret_key="secret", session_token=None)
    async with open_aws_client(service, make_config(path_style=False)) as aws:
        shared = SharedCredentials(aws.credentials)
        keys = await shared.get(0)
        assert (keys.access_key, keys.token, keys.expires_at) == ("AKIA", None, None)
        assert await shared.get(datetime.now(UTC).timestamp()) is keys
