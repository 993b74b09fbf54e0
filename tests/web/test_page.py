"""How the gallery page is served: what it may load, how it is cached, and that it takes no address from the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from app.api.app import _store_origin
from app.api.web import PageConfig, add_web_page
from app.settings import Settings
from tests.api.conftest import Service, embedded_settings, running

STORE = "https://images.s3.eu-west-1.amazonaws.com"


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


async def test_images_may_come_from_the_store_that_signs_their_urls():
    app = FastAPI()
    add_web_page(app, config=PageConfig(1, 1, (), ()), store_origin=STORE)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test") as client:
        allowed = policy(await client.get("/"))
    assert STORE in allowed["img-src"]
    assert STORE in allowed["connect-src"]
    assert STORE not in allowed["script-src"]


@pytest.mark.parametrize(
    "changes,origin",
    [
        ({"backend": "embedded"}, None),
        ({"backend": "aws", "s3_region": "eu-west-1"}, STORE),
        ({"backend": "aws", "localstack_endpoint_url": "http://localhost:4566"}, "http://localhost:4566"),
        (
            {
                "backend": "aws",
                "localstack_endpoint_url": "http://localstack:4566",
                "s3_presigned_url_endpoint": "http://localhost:4566",
            },
            "http://localhost:4566",
        ),
    ],
)
def test_the_store_is_where_urls_are_signed_for(changes: dict[str, Any], origin: str | None):
    settings = Settings(_env_file=None, environment="development", **changes)  # type: ignore[call-arg]
    assert _store_origin(settings) == origin


async def test_a_file_is_asked_for_again_and_sent_once(service: Service):
    first = await service.client.get("/web/js/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await service.client.get("/web/js/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_files_are_compressed(service: Service):
    packed = await service.client.get("/web/css/views.css", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers.get("content-length", 0)) < len(packed.content)


async def test_the_page_is_told_the_limits(service: Service):
    config = (await service.client.get("/web/config.json")).json()
    assert config["max_file_size"] == 5_000_000
    assert "heic" in config["extensions"]
    assert "image/webp" in config["content_types"]


@pytest.mark.parametrize("path", ["/web/nothing.js", "/web/../settings.py", "/web/%2e%2e/settings.py", "/nowhere"])
async def test_what_is_not_there_is_a_problem_like_any_other(service: Service, path: str):
    response = await service.client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
