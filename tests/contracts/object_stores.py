"""The object stores under test, each with an adjustable clock and functions that use its URLs and forms."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx

from app.container.aws import AwsClient, open_aws_client
from app.domain.errors import FormInvalid
from app.domain.objects import PresignedPost, StoredObject
from app.ports.storage import ObjectStore
from app.settings_fields import AwsService
from app.storage.disk.store import DiskObjectStore, open_disk
from app.storage.disk.urls import URL_PATH
from app.storage.s3.client import disable_expect, make_config
from app.storage.s3.credentials import SharedCredentials
from app.storage.s3.presigner import Presigner
from app.storage.s3.store import S3ObjectStore
from tests.aws_emulators import AwsEmulator

TTL, WINDOW = 3600, 900

_numbers = itertools.count()


class Clock:
    """The clock of the store. Signed URLs are verified with the real time."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> float:
        return self.now.timestamp()


@dataclass(frozen=True)
class Subject:
    store: ObjectStore
    clock: Clock
    prefix: str
    """The prefix of all keys of one test."""
    fetch: Callable[[str], Awaitable[bytes]]
    """Return the object of a URL. Raises AppError or httpx.HTTPStatusError if the URL is rejected."""
    post: Callable[[PresignedPost, bytes], Awaitable[None]]
    """Send a file with a form. Raises AppError or httpx.HTTPStatusError if the form is rejected."""
    send: Callable[[str, bytes], Awaitable[None]]
    """Send the body of a PUT. Raises AppError or httpx.HTTPStatusError if it is rejected."""
    checks_signatures: bool
    checks_content: bool
    checks_content_of_forms: bool

    async def put(self, name: str, data: bytes = b"x") -> str:
        key = self.prefix + name
        await self.store.put(key, data, content_type="image/jpeg")
        return key

    async def names(self, prefix: str = "") -> list[str]:
        return [found.key.removeprefix(self.prefix) for found in await self.walk(prefix)]

    async def walk(self, prefix: str = "") -> list[StoredObject]:
        return [found async for found in self.store.walk(self.prefix + prefix)]

    async def read(self, name: str) -> bytes:
        return await self.fetch((await self.store.sign_url(self.prefix + name)).url)


@asynccontextmanager
async def disk_subject(folder: Path) -> AsyncIterator[Subject]:
    clock = Clock()
    async with open_disk(folder, url_key=b"k" * 32, ttl_seconds=TTL, window_seconds=WINDOW, clock=clock) as store:

        async def fetch(url: str) -> bytes:
            return await read_signed(store, url)

        async def post(form: PresignedPost, data: bytes) -> None:
            await post_signed(store, form, data)

        async def send(url: str, data: bytes) -> None:
            fields = dict(parse_qsl(urlsplit(url).query))
            await post_signed(store, PresignedPost("", fields, datetime.now(UTC)), data)

        yield Subject(
            store,
            clock,
            "t/",
            fetch,
            post,
            send,
            checks_signatures=True,
            checks_content=True,
            checks_content_of_forms=True,
        )


async def read_signed(store: DiskObjectStore, url: str) -> bytes:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    found = await store.open_signed(
        parts.path.removeprefix(URL_PATH),
        expires=int(query["expires"]),
        filename=query.get("filename"),
        signature=query["signature"],
        now=datetime.now(UTC),
    )
    return found.path.read_bytes()


async def post_signed(store: DiskObjectStore, form: PresignedPost, data: bytes) -> None:
    posted = store.verify_post(form.fields, now=datetime.now(UTC))
    if posted.size != len(data):  # as the route does
        raise FormInvalid
    sha256 = posted.sha256 or hashlib.sha256(data).hexdigest()
    with file_of(data) as file:
        await store.put_file(posted.key, file, size=posted.size, sha256=sha256, content_type=posted.content_type)


@asynccontextmanager
async def open_s3(service: AwsService) -> AsyncIterator[AwsClient]:
    """Open a client as the service does."""
    async with open_aws_client(service, make_config(path_style=True)) as opened:
        disable_expect(opened.client)
        yield opened


@asynccontextmanager
async def s3_subject(aws: AwsEmulator, connection: AwsClient) -> AsyncIterator[Subject]:
    clock = Clock()
    signer = Presigner(
        SharedCredentials(connection.credentials),
        bucket=aws.bucket,
        region=aws.region,
        endpoint_url=aws.url,
        ttl_seconds=TTL,
        window_seconds=WINDOW,
        clock=clock,
    )
    async with httpx.AsyncClient(trust_env=False) as http:

        async def fetch(url: str) -> bytes:
            return (await http.get(url)).raise_for_status().content

        async def post(form: PresignedPost, data: bytes) -> None:
            file = ("holiday.jpg", data, "application/octet-stream")
            (await http.post(form.url, data=dict(form.fields), files={"file": file})).raise_for_status()

        async def send(url: str, data: bytes) -> None:
            (await http.put(url, content=data, headers={"Content-Type": "image/jpeg"})).raise_for_status()

        yield Subject(
            S3ObjectStore(connection.client, bucket=aws.bucket, signer=signer, clock=connection.clock),
            clock,
            f"t{os.getpid()}-{next(_numbers)}/",
            fetch,
            post,
            send,
            # Moto accepts any signature, policy and checksum. MiniStack verifies them with MINISTACK_AUTH=1,
            # except the checksum in a form.
            checks_signatures=aws.name == "ministack",
            checks_content=aws.name == "ministack",
            checks_content_of_forms=False,
        )


@contextmanager
def file_of(data: bytes) -> Iterator[BinaryIO]:
    with TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file
