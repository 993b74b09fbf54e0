"""How the gallery page is served: what it may load, how it is cached, and that it takes no address from the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.api import compressed_files
from app.container import backends
from app.settings import Settings
from tests.api.conftest import Service, aws, aws_settings, embedded_settings, running
from tests.aws_emulators import AwsEmulator

__all__ = ["aws"]

STORE = "https://images.example.com"
CDN = "https://d1.cloudfront.net"


def make_cdn() -> dict[str, Any]:
    """Return the settings of a distribution, with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {"cdn_url": f"{CDN}/", "cdn_key_pair_id": "K1", "cdn_private_key": pem}


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with running(embedded_settings(tmp_path / "data", max_file_size=5_000_000)) as opened:
        yield opened


def policy(response: httpx.Response) -> dict[str, list[str]]:
    parts = (part.split() for part in response.headers["content-security-policy"].split(";"))
    return {name: values for name, *values in parts}


async def test_the_page_may_load_nothing_but_its_own(service: Service):
    page = await service.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    allowed = policy(page)
    assert allowed["default-src"] == ["'none'"]
    assert allowed["script-src"] == allowed["style-src"] == allowed["connect-src"] == ["'self'"]
    assert allowed["frame-ancestors"] == allowed["base-uri"] == ["'none'"]
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest_asyncio.fixture
async def service_with_s3(tmp_path: Path, aws: AwsEmulator) -> AsyncIterator[Service]:
    async with running(aws_settings(tmp_path, aws, s3_presigned_url_endpoint=STORE, **make_cdn())) as opened:
        yield opened


async def test_images_may_come_from_the_store_and_the_cdn_for_which_urls_are_signed(service_with_s3: Service):
    allowed = policy(await service_with_s3.client.get("/"))
    for origin in (STORE, CDN):
        assert origin in allowed["img-src"]
        assert origin in allowed["connect-src"]
        assert origin not in allowed["script-src"]


@pytest.mark.parametrize(
    "changes,origin",
    [
        ({"s3_region": "eu-west-1"}, "https://images.s3.eu-west-1.amazonaws.com"),
        ({"localstack_endpoint_url": "http://localhost:4566"}, "http://localhost:4566"),
        ({"s3_endpoint_url": "http://minio:9000"}, "http://minio:9000"),
        (
            {"s3_endpoint_url": "http://minio:9000", "s3_presigned_url_endpoint": "http://localhost:9000"},
            "http://localhost:9000",
        ),
    ],
)
async def test_the_store_origin_is_the_endpoint_for_which_urls_are_signed(changes: dict[str, Any], origin: str):
    keys: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    settings = Settings(_env_file=None, backend="aws", environment="development", **keys, **changes)  # type: ignore[call-arg]
    async with backends.open_s3_storage(settings) as storage:
        assert storage.origins == (origin,)


async def test_with_cloudfront_images_come_from_it_and_uploads_go_to_s3():
    keys: dict[str, Any] = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "secret", "secret_key": "s" * 32}
    settings = Settings(_env_file=None, backend="aws", **keys, **make_cdn())  # type: ignore[call-arg]
    async with backends.open_s3_storage(settings) as storage:
        s3 = "https://images.s3.us-east-1.amazonaws.com"
        assert storage.origins == (s3, CDN)
        signed = await storage.store.sign_url("images/a.jpg", filename="a.jpg")
        assert signed.url.startswith(f"{CDN}/images/a.jpg?response-content-disposition=attachment")
        hour = datetime.now(UTC) + timedelta(hours=1)
        form = await storage.store.presign_post(
            "incoming/a", content_type="image/png", size=1, sha256=None, expires_at=hour
        )
        put = await storage.store.presign_put("incoming/a", size=1, expires_at=hour)
        assert form.url.startswith(s3)
        assert put.url.startswith(s3)


async def test_a_file_is_asked_for_again_and_sent_once(service: Service):
    first = await service.client.get("/web/js/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await service.client.get("/web/js/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "accept,encoding",
    [("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("br;q=0, gzip;q=0.5", "gzip"), ("identity", None)],
)
@pytest.mark.parametrize("path", ["/web/css/views.css", "/"])
async def test_files_are_compressed(service: Service, path: str, accept: str, encoding: str | None):
    headers = {"Accept-Encoding": accept}
    response = await service.client.get(path, headers=headers)
    plain = await service.client.get(path, headers={"Accept-Encoding": "identity"})
    assert response.content == plain.content
    assert response.headers.get("Content-Encoding") == encoding
    assert "Accept-Encoding" in response.headers["Vary"]
    assert (int(response.headers["Content-Length"]) < len(response.content)) is (encoding is not None)
    # Representations with different bytes do not share a strong ETag.
    assert response.headers["ETag"].startswith("W/") is (encoding is not None)
    head = await service.client.head(path, headers=headers)
    assert (head.content, head.headers["Content-Length"]) == (b"", response.headers["Content-Length"])
    again = await service.client.get(path, headers=headers | {"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (again.headers["ETag"], again.headers["Vary"]) == (response.headers["ETag"], response.headers["Vary"])


async def test_a_file_is_compressed_once(service: Service, monkeypatch: pytest.MonkeyPatch):
    first = await service.client.get("/web/js/api.js", headers={"Accept-Encoding": "br"})
    monkeypatch.setattr(compressed_files, "_COMPRESSORS", {"br": pytest.fail})
    second = await service.client.get("/web/js/api.js", headers={"Accept-Encoding": "br"})
    assert first.content == second.content


async def test_page_contains_the_limits(service: Service):
    config = (await service.client.get("/api/v1/limits")).json()
    assert config["max_file_size"] == 5_000_000
    assert "heic" in config["extensions"]
    assert "image/webp" in config["content_types"]


@pytest.mark.parametrize("path", ["/web/nothing.js", "/web/../settings.py", "/web/%2e%2e/settings.py", "/nowhere"])
async def test_missing_path_returns_a_problem(service: Service, path: str):
    response = await service.client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
