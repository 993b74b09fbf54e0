"""Runs the whole service in this process over ASGI: on the embedded backend, and for `both` also on the aws backend."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from app.api.app import create_app
from app.api.middleware import BodyDeadline
from app.api.services import Services
from app.auth.passwords import PARAMETERS, Passwords
from app.container.container import open_container
from app.container.use_cases import Container
from app.observability.logs import configure_logs
from app.settings import Settings
from tests.aws_emulators import AwsEmulator
from tests.pictures import jpeg

BASE_URL = "http://service.test"
PASSWORD = "a long enough passphrase"
_numbers = itertools.count()


@dataclass
class Person:
    """A user with an account and an access token."""

    client: httpx.AsyncClient
    email: str
    tokens: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    async def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {**self.headers, **arguments.pop("headers", {})}
        return await self.client.request(method, f"/api/v1{path}", headers=headers, **arguments)

    async def get(self, path: str, **arguments: Any) -> httpx.Response:
        return await self.request("GET", path, **arguments)

    async def post(self, path: str, **arguments: Any) -> httpx.Response:
        return await self.request("POST", path, **arguments)

    async def upload(self, data: bytes | None = None, *, filename: str = "photo.jpg", **form: str) -> httpx.Response:
        files = {"file": (filename, jpeg() if data is None else data, "application/octet-stream")}
        return await self.request("POST", "/images/upload", files=files, data=form)


@dataclass(kw_only=True)
class Reachable:
    """The service as its clients reach it, wherever it runs."""

    client: httpx.AsyncClient
    """Its requests to BASE_URL are sent to the service."""
    concurrency: int
    """How many requests it should be able to handle at the same time within the time limits of the tests."""

    async def person(self) -> Person:
        email = f"person-{next(_numbers)}@example.com"
        response = await self.client.post("/api/v1/auth/register", json={"email": email, "password": PASSWORD})
        assert response.status_code == 201, response.text
        return Person(self.client, email, response.json())

    async def fetch(self, url: str, **arguments: Any) -> httpx.Response:
        """Fetch a URL as an <img> does, without a token, from this service or from another server."""
        if url.startswith(BASE_URL):
            return await self.client.get(url, **arguments)
        async with httpx.AsyncClient() as outside:
            return await outside.get(url, **arguments)

    @abstractmethod
    async def keys(self, prefix: str) -> list[str]:
        """Return the keys of the stored objects that begin with the prefix."""


@dataclass(kw_only=True)
class Service(Reachable):
    """The service in the process of the tests."""

    app: FastAPI
    settings: Settings
    container: Container
    concurrency: int = 50

    @property
    def services(self) -> Services:
        return self.container.services

    async def keys(self, prefix: str) -> list[str]:
        store = self.container.adapters.storage.store
        return [stored.key async for stored in store.walk(prefix)]


@contextmanager
def cheap_password_hashes() -> Iterator[None]:
    """Make the registrations of a service that is opened meanwhile faster. Started processes have the real cost."""
    cheap = replace(PARAMETERS, time_cost=1, memory_cost=8)
    with patch.dict(cast(Any, Passwords.__init__).__kwdefaults__, parameters=cheap):
        yield


@asynccontextmanager
async def running(
    settings: Settings, *, with_worker: bool = False, body_deadline: BodyDeadline | None = None
) -> AsyncIterator[Service]:
    """Run the service. With SQS, jobs are processed only if `with_worker`; with a local queue, always."""
    configure_logs(level=settings.log_level, as_text=settings.logs_are_text)
    containers: list[Container] = []

    @asynccontextmanager
    async def open_services() -> AsyncIterator[Services]:
        async with AsyncExitStack() as stack:
            with cheap_password_hashes():
                container = await stack.enter_async_context(open_container(settings))
            containers.append(container)
            if with_worker or settings.queue == "local":
                await stack.enter_async_context(container.worker.running())
            yield container.services

    app = create_app(settings, open_services, body_deadline=body_deadline or BodyDeadline())
    transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 4711))
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        yield Service(app=app, settings=settings, client=client, container=containers[0])


def parsed(stream: str) -> list[dict[str, str]]:
    blocks = [block for block in stream.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def embedded_settings(folder: Path, **changes: Any) -> Settings:
    return Settings(
        _env_file=None,
        data_dir=folder,
        **{"render_processes": 1, "registration": "open", "allowed_hosts": ("service.test", "example.org"), **changes},
    )  # type: ignore[call-arg]


def aws_settings(folder: Path, aws: AwsEmulator, **changes: Any) -> Settings:
    return embedded_settings(
        folder,
        backend="aws",
        environment="development",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        aws_default_region=aws.region,
        s3_bucket=aws.bucket,
        dynamodb_table_name=aws.table,
        # Each service has its own queue, so that it does not receive the messages of another test.
        sqs_queue_name=aws.make_queue(),
        localstack_endpoint_url=aws.url,
        **changes,
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with running(embedded_settings(tmp_path_factory.mktemp("data"))) as opened:
        yield opened


@pytest.fixture(scope="session")
def aws(default_aws: AwsEmulator) -> AwsEmulator:
    return default_aws.deployed_for("api")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service_on_aws(tmp_path_factory: pytest.TempPathFactory, aws: AwsEmulator) -> AsyncIterator[Service]:
    async with running(aws_settings(tmp_path_factory.mktemp("data"), aws), with_worker=True) as opened:
        yield opened


@pytest.fixture(params=["embedded", "aws"])
def both(request: pytest.FixtureRequest) -> Service:
    """Run the test on each backend."""
    name = "service" if request.param == "embedded" else "service_on_aws"
    opened: Service = request.getfixturevalue(name)
    return opened


@pytest_asyncio.fixture(loop_scope="session")
async def person(service: Service) -> Person:
    return await service.person()
