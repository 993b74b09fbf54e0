"""The base of the URLs in responses: PUBLIC_URL, or a host that is allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.api.conftest import BASE_URL, Service, embedded_settings, running
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

PUBLIC_URL = "https://photos.example.com/album"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def public(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    settings = embedded_settings(tmp_path_factory.mktemp("data"), public_url=PUBLIC_URL, allowed_hosts=())
    async with running(settings) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def private(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with running(
        embedded_settings(tmp_path_factory.mktemp("data"), allowed_hosts=("photos.lan", "service.test"))
    ) as opened:
        yield opened


async def test_every_absolute_url_begins_with_the_public_url(public: Service):
    person = await public.person()
    response = await public.client.post(
        "/api/v1/images/upload", files={"file": ("a.jpg", jpeg())}, headers={**person.headers, "Host": "evil.example"}
    )
    view = response.json()
    urls = [view["original_url"], view["thumbnail_url"], *(thumbnail["url"] for thumbnail in view["thumbnails"])]
    started = await public.client.post(
        "/api/v1/images/uploads",
        json={"filename": "a.jpg", "content_type": "image/jpeg", "size": len(jpeg())},
        headers=person.headers,
    )
    urls += [started.json()["url"], started.json()["put_url"]]
    put = await public.client.put(
        started.json()["put_url"].removeprefix(PUBLIC_URL), content=jpeg(), headers={"Content-Type": "image/jpeg"}
    )
    urls.append(put.headers["Location"])
    download = await public.client.get(f"/api/v1/images/{view['id']}/file", headers=person.headers)
    urls.append(download.headers["Location"])
    description = (await public.client.get("/openapi.json")).json()
    urls += [server["url"] + "/" for server in description["servers"]]
    missing = await public.client.get("/api/v1/images/unknown", headers=person.headers)
    urls.append(missing.json()["type"])
    assert len(urls) == 11
    assert [url for url in urls if not url.startswith(f"{PUBLIC_URL}/")] == []
    # The proxy removes the path of PUBLIC_URL.
    for url in (view["original_url"], missing.json()["type"], f"{PUBLIC_URL}/web/icon.svg"):
        assert (await public.client.get(url.removeprefix(PUBLIC_URL))).status_code == 200


@pytest.mark.parametrize(
    "host", ["photos.lan", "PHOTOS.LAN:8000", "photos.lan.", "localhost:1", "127.0.0.1", "[::1]:80"]
)
async def test_an_allowed_host_is_the_base_of_urls(private: Service, host: str):
    person = await private.person()
    response = await private.client.post(
        "/api/v1/images/upload", files={"file": ("a.jpg", jpeg())}, headers={**person.headers, "Host": host}
    )
    assert response.status_code == 201
    assert httpx.URL(response.json()["original_url"]).netloc == httpx.URL(f"http://{host}").netloc


@pytest.mark.parametrize(
    "host", ["evil.example", "photos.lan.evil.example", "user@localhost", "127.0.0.1.evil", "[::2]", ""]
)
async def test_other_hosts_are_refused(private: Service, host: str):
    response = await private.client.get("/api/v1/images", headers={"Host": host})
    assert response.status_code == 421
    problem = response.json()
    assert (problem["code"], problem["type"]) == ("host_not_allowed", "/problems/host_not_allowed")
    assert "ALLOWED_HOSTS" in problem["detail"]
    assert response.headers["X-Request-ID"] == problem["request_id"]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/api/v1/health/live", "/metrics"])
async def test_probes_and_scrapers_may_use_any_host(private: Service, path: str):
    assert (await private.client.get(path, headers={"Host": "10.0.0.7:8000"})).status_code == 200


async def test_a_page_of_an_allowed_origin_can_read_the_refusal(tmp_path: Path):
    origin = "https://app.example.com"
    async with running(embedded_settings(tmp_path, cors_origins=(origin,), allowed_hosts=())) as service:
        response = await service.client.get("/api/v1/images", headers={"Origin": origin})
        assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (421, origin)
        assert BASE_URL not in response.text
