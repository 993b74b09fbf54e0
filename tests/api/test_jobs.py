"""Product images by EAN and the jobs that fetch them from the fake catalog, on each backend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.catalog import rate_limiter as catalog_limiter
from app.common.rate_limit import RateLimit
from tests import fake_catalog
from tests.api.conftest import Person, Service, aws_settings, embedded_settings, parsed, running
from tests.fake_catalog import Answer, FakeCatalog
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "Tests/1.0 (tests@example.com)"
STRANGE_ID = "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def catalog() -> AsyncIterator[FakeCatalog]:
    async with FakeCatalog() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["embedded", "aws"])
async def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, catalog: FakeCatalog
) -> AsyncIterator[Service]:
    changes = {"product_catalog_url": catalog.url, "product_catalog_user_agent": AGENT}
    folder = tmp_path_factory.mktemp("data")
    if request.param == "embedded":
        settings = embedded_settings(folder, **changes)
    else:
        settings = aws_settings(folder, request.getfixturevalue("aws"), **changes)
    with pytest.MonkeyPatch.context() as patch:
        # With the real limit, the requests of these tests would take minutes.
        patch.setattr(catalog_limiter, "_LIMIT", RateLimit("catalog", limit=1000, window_seconds=60))
        async with running(settings, with_worker=True) as opened:
            yield opened


async def fetch(person: Person, ean: str, **more: Any) -> dict[str, Any]:
    headers = more.pop("headers", {})
    response = await person.request("POST", "/fetch-image", json={"ean_code": ean, **more}, headers=headers)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


async def ended(person: Person, job: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = (await person.get(f"/jobs/{job['job_id']}?wait=20")).json()
    assert seen["finished_at"], seen
    return seen


async def test_product_image_is_fetched_with_its_source(service: Service, catalog: FakeCatalog):
    person = await service.person()
    asked = await fetch(person, "3 017620-422003", description="For the shelf")
    assert (asked["kind"], asked["ean_code"], asked["status"]) == ("fetch", fake_catalog.WITH_IMAGE, "queued")
    assert asked["message"]
    job = await ended(person, asked)
    assert (job["status"], job["attempts"], job["progress"], job["error"]) == ("completed", 1, 100, None)
    image = (await person.get(f"/images/{job['result']['image_id']}")).json()
    assert image["description"] == "For the shelf"
    assert image["filename"].endswith(".jpg")
    assert image["source"]["ean"] == fake_catalog.WITH_IMAGE
    assert image["source"]["licence"] == "CC BY-SA 3.0"
    assert image["source"]["url"].endswith(f"/product/{fake_catalog.WITH_IMAGE}")
    assert image["source"]["attribution"]
    assert {thumbnail["status"] for thumbnail in image["thumbnails"]} == {"ready"}
    assert (await service.fetch(image["original_url"])).status_code == 200
    assert {seen.user_agent for seen in catalog.seen} == {AGENT}


async def test_newest_image_of_a_product_is_found_by_its_code(service: Service):
    person, stranger = await service.person(), await service.person()
    ean = fake_catalog.WITH_IMAGE
    assert (await person.get(f"/images/{ean}")).json()["code"] == "image_missing"
    first = await ended(person, await fetch(person, ean))
    second = await ended(person, await fetch(person, ean))
    assert first["result"] != second["result"]
    assert (await person.get(f"/images/{ean}")).json()["id"] == second["result"]["image_id"]
    assert (await person.get(f"/images/0{ean}")).json()["id"] == second["result"]["image_id"]
    assert (await stranger.get(f"/images/{ean}")).status_code == 404
    await person.request("DELETE", f"/images/{second['result']['image_id']}")
    assert (await person.get(f"/images/{ean}")).json()["id"] == first["result"]["image_id"]


@pytest.mark.parametrize("code", ["30176204220", "3017620422004", "30176x0422003", "", "0" * 13])
async def test_invalid_product_code_is_rejected_immediately(service: Service, code: str):
    person = await service.person()
    response = await person.request("POST", "/fetch-image", json={"ean_code": code})
    assert (response.status_code, response.json()["code"]) == (422, "ean_invalid")
    assert (await person.get("/jobs")).json()["items"] == []


@pytest.mark.parametrize(
    "ean, code",
    [
        (fake_catalog.UNKNOWN, "product_unknown"),
        (fake_catalog.WITHOUT_IMAGE, "product_image_missing"),
        (fake_catalog.IMAGE_IS_CORRUPT, "image_rejected"),
        (fake_catalog.IMAGE_IS_SVG, "image_rejected"),
        (fake_catalog.IMAGE_IS_HTML, "image_rejected"),
        (fake_catalog.IMAGE_TOO_LARGE, "image_rejected"),
        (fake_catalog.IMAGE_IS_INSIDE, "image_rejected"),
    ],
)
async def test_product_image_that_cannot_be_fetched_fails_with_a_reason(service: Service, ean: str, code: str):
    person = await service.person()
    job = await ended(person, await fetch(person, ean))
    assert (job["status"], job["attempts"], job["error"]["code"], job["result"]) == ("failed", 1, code, None)
    assert job["message"] == job["error"]["detail"]
    assert (await person.get("/images")).json()["items"] == []
    assert (await person.get("/auth/me")).json()["usage"]["images"] == 0


async def test_temporary_failure_of_the_catalog_is_retried(service: Service, catalog: FakeCatalog):
    person = await service.person()
    stumbles = iter([Answer(503)])
    catalog.answers[fake_catalog.UNSTEADY] = lambda: next(stumbles, None) or catalog.product(fake_catalog.WITH_IMAGE)
    job = await fetch(person, fake_catalog.UNSTEADY)
    seen = [json.loads(event["data"]) for event in parsed((await person.get(f"/jobs/{job['job_id']}/events")).text)]
    assert "retrying" in {event["status"] for event in seen}
    retrying = next(event for event in seen if event["status"] == "retrying")
    assert retrying["error"]["code"] == "catalog_unavailable"
    assert (seen[-1]["status"], seen[-1]["attempts"], seen[-1]["error"]) == ("completed", 2, None)


async def test_retried_request_returns_the_same_job(service: Service):
    person = await service.person()
    key = {"headers": {"Idempotency-Key": "once"}}
    jobs = await asyncio.gather(
        *(person.request("POST", "/fetch-image", json={"ean_code": fake_catalog.WITH_IMAGE}, **key) for _ in range(20))
    )
    assert {response.status_code for response in jobs} <= {202, 409}
    ids = {response.json()["job_id"] for response in jobs if response.status_code == 202}
    assert len(ids) == 1
    assert (await fetch(person, fake_catalog.WITH_IMAGE, **key))["job_id"] in ids
    other = await person.request("POST", "/fetch-image", json={"ean_code": fake_catalog.UNKNOWN}, **key)
    assert other.json()["code"] == "idempotency_key_reused"
    assert len((await person.get("/jobs")).json()["items"]) == 1


async def test_jobs_are_listed_newest_first_with_pages_and_status_filter(service: Service):
    person, stranger = await service.person(), await service.person()
    done = [await ended(person, await fetch(person, fake_catalog.WITH_IMAGE)) for _ in range(2)]
    failed = await ended(person, await fetch(person, fake_catalog.UNKNOWN))
    first = (await person.get("/jobs?limit=2")).json()
    assert [job["job_id"] for job in first["items"]] == [failed["job_id"], done[1]["job_id"]]
    rest = (await person.get("/jobs", params={"cursor": first["next_cursor"]})).json()
    assert [job["job_id"] for job in rest["items"]] == [done[0]["job_id"]]
    assert rest["next_cursor"] is None
    only = (await person.get("/jobs?status=failed")).json()["items"]
    assert [job["job_id"] for job in only] == [failed["job_id"]]
    assert (await stranger.get("/jobs")).json()["items"] == []
    refused = await stranger.get("/jobs", params={"cursor": first["next_cursor"]})
    assert refused.json()["code"] == "cursor_invalid"


@pytest.mark.parametrize("path", ["", "?wait=20", "/events"])
async def test_job_of_another_user_is_missing(service: Service, path: str):
    person, stranger = await service.person(), await service.person()
    job = await fetch(person, fake_catalog.UNKNOWN)
    for job_id in (job["job_id"], STRANGE_ID, "no-id"):
        response = await stranger.get(f"/jobs/{job_id}{path}")
        assert (response.status_code, response.json()["code"]) == (404, "job_missing")


async def test_event_stream_of_a_job_ends_with_it_and_repeats_nothing(service: Service):
    person = await service.person()
    job = await fetch(person, fake_catalog.WITH_IMAGE)
    response = await person.get(f"/jobs/{job['job_id']}/events")
    assert response.headers["Content-Type"].startswith("text/event-stream")
    events = parsed(response.text)
    assert {event["event"] for event in events} == {"job"}
    assert json.loads(events[-1]["data"]) == (await person.get(f"/jobs/{job['job_id']}")).json()
    assert len({event["id"] for event in events}) == len(events)
    headers = {"Last-Event-ID": events[-1]["id"]}
    assert parsed((await person.get(f"/jobs/{job['job_id']}/events", headers=headers)).text) == []


async def test_quota_applies_to_product_images(tmp_path: Path, catalog: FakeCatalog):
    settings = embedded_settings(tmp_path, product_catalog_url=catalog.url, user_quota_images=1)
    async with running(settings) as service:
        person = await service.person()
        assert (await person.upload(jpeg())).status_code == 201
        job = await ended(person, await fetch(person, fake_catalog.WITH_IMAGE))
        assert job["error"]["code"] == "quota_exceeded"


async def test_requests_over_the_rate_limit_of_the_catalog_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog_limiter, "_LIMIT", RateLimit("catalog", limit=15, window_seconds=60))
    async with (
        FakeCatalog() as catalog,
        running(embedded_settings(tmp_path, product_catalog_url=catalog.url)) as service,
    ):
        person = await service.person()
        codes = [f"{number:07d}" for number in range(1_000_000, 1_000_020)]
        jobs = [await fetch(person, code + check_digit(code)) for code in codes]
        await asyncio.sleep(1)
        seen = [(await person.get(f"/jobs/{job['job_id']}")).json() for job in jobs]
    assert sum(job["status"] == "failed" for job in seen) == 15
    waiting = [job for job in seen if job["status"] == "queued"]
    assert [(job["attempts"], job["error"]) for job in waiting] == [(0, None)] * 5
    assert len(catalog.seen) == 15


def check_digit(seven: str) -> str:
    return str(-sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(seven)) % 10)
