"""The object stores under test, each with what a test needs besides: a clock to turn and a way to follow URLs."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from urllib.parse import parse_qs, urlsplit

import httpx

from app.adapters.disk import URL_PATH, DiskObjectStore, open_disk
from app.adapters.s3 import S3Connection, S3ObjectStore
from app.adapters.sigv4 import Presigner
from app.core.models import StoredObject
from app.core.ports import ObjectStore
from tests.stand_ins import StandIn

TTL, WINDOW = 3600, 900

_numbers = itertools.count()


class Clock:
    """What the store takes for now; whoever follows a URL goes by the real time."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> float:
        return self.now.timestamp()


@dataclass(frozen=True)
class Subject:
    store: ObjectStore
    clock: Clock
    prefix: str
    """Before every key of one test."""
    fetch: Callable[[str], Awaitable[bytes]]
    """Returns what is behind a URL; raises AppError or httpx.HTTPStatusError if that is refused."""
    checks_signatures: bool
    checks_content: bool

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

        yield Subject(store, clock, "t/", fetch, checks_signatures=True, checks_content=True)


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


@asynccontextmanager
async def s3_subject(aws: StandIn, connection: S3Connection) -> AsyncIterator[Subject]:
    clock = Clock()
    signer = Presigner(
        connection.credentials,
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

        yield Subject(
            S3ObjectStore(connection.client, bucket=aws.bucket, signer=signer),
            clock,
            f"t{os.getpid()}-{next(_numbers)}/",
            fetch,
            # moto takes any signature and any checksum. MiniStack looks at both, started with MINISTACK_AUTH=1.
            checks_signatures=aws.name == "ministack",
            checks_content=aws.name == "ministack",
        )


@contextmanager
def file_of(data: bytes) -> Iterator[BinaryIO]:
    with TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file
