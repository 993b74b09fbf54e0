"""Tests that the AWS SDK, as the service loads it, does less work than by default, and the same."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader

from app.container.aws import open_aws_client
from app.container.aws_sdk import AioConfig, _Descriptions, _Files, _HttpSession
from app.settings_fields import AwsService, AwsServiceName
from tests.network import Authority

NAMES: tuple[AwsServiceName, ...] = ("s3", "dynamodb", "sqs")
CALLS = {"s3": "list_buckets", "dynamodb": "list_tables", "sqs": "list_queues"}
CONFIG = AioConfig(retries={"total_max_attempts": 1})
REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def server(tls: ssl.SSLContext) -> AsyncIterator[str]:
    """Yield the URL of a server that refuses each request."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(REFUSAL)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0, ssl=tls) as listening:
        yield f"https://localhost:{listening.sockets[0].getsockname()[1]}"


@pytest.fixture
async def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The URL of a server whose certificate only AWS_CA_BUNDLE allows."""
    authority, tls = Authority(tmp_path), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.certificate("localhost"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.path))
    async with server(tls) as started:
        yield started


async def call_all(url: str) -> list[BaseException]:
    """Call each service at the URL. Return the errors."""

    async def call(name: AwsServiceName) -> None:
        service = AwsService(name, "eu-west-1", url, access_key="AKIA", secret_key="secret", session_token=None)
        async with open_aws_client(service, CONFIG) as aws:
            await getattr(aws.client, CALLS[name])()

    results = await asyncio.gather(*map(call, NAMES), return_exceptions=True)
    return [result for result in results if isinstance(result, BaseException)]


async def test_the_certificates_of_servers_are_verified(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [type(error) for error in await call_all(url)] == [ClientError] * 3
    monkeypatch.delenv("AWS_CA_BUNDLE")
    errors = await call_all(url)
    assert len(errors) == 3
    assert all(isinstance(error, BotoCoreError) and "CERTIFICATE_VERIFY_FAILED" in str(error) for error in errors)


async def test_all_clients_share_the_root_certificates(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(context: ssl.SSLContext, *arguments: Any) -> None:
        loaded.append(arguments)
        load(context, *arguments)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    monkeypatch.setattr(_HttpSession, "_contexts", {})
    for _ in range(2):
        await call_all(url)
    assert 1 <= len(loaded) <= 3, "each client loads the certificates"


def test_the_descriptions_of_services_are_those_of_the_sdk() -> None:
    own, default = _Descriptions(file_loader=_Files()), Loader()
    for name in NAMES:
        for kind in ("service-2", "endpoint-rule-set-1", "paginators-1"):
            assert own.load_service_model(name, kind) == default.load_service_model(name, kind)
    for data in ("endpoints", "partitions", "sdk-default-configuration"):
        assert own.load_data(data) == default.load_data(data)


IMPORT = """
import os, sys
os.environ["SSL_CERT_FILE"] = "/etc/certificates"
environment = dict(os.environ)
from app.container import aws
import aiohttp.connector
assert "httpx" not in sys.modules
assert os.environ == environment
assert aiohttp.connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"] == 0
import httpx
"""


def test_the_import_loads_neither_certificates_nor_a_second_client() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", IMPORT], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
