"""Thumbnails that are rendered after the response: `Prefer: respond-async`, event streams, failures and retries."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from app.api import events
from app.domain.errors import Overloaded
from app.domain.jobs import Job
from app.services import thumbnails
from tests.api.conftest import Person, Service, embedded_settings, parsed, running
from tests.patience import SECONDS
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASYNC = {"Prefer": "respond-async"}
# The header is valid, but the pixels are missing.
CUT_SHORT = jpeg(2000, 1500)[:-20_000]


async def upload(person: Person, data: bytes, **headers: str) -> httpx.Response:
    files = {"file": ("photo.jpg", data, "image/jpeg")}
    return await person.request("POST", "/images/upload", files=files, headers={**ASYNC, **headers})


async def settled(person: Person, image_id: str) -> dict[str, Any]:
    async with asyncio.timeout(SECONDS):
        while True:
            image: dict[str, Any] = (await person.get(f"/images/{image_id}")).json()
            if all(thumbnail["status"] != "pending" for thumbnail in image["thumbnails"]):
                return image
            await asyncio.sleep(0.2)


async def test_response_does_not_wait_for_the_thumbnails(both: Service):
    person = await both.person()
    response = await upload(person, jpeg(1200, 900))
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    accepted = response.json()
    assert (accepted["width"], accepted["height"]) == (1200, 900)
    assert accepted["thumbnail_url"] is None
    assert accepted["placeholder"] is None
    assert {(t["size"], t["status"], t["url"], t["attempts"]) for t in accepted["thumbnails"]} == {
        (size, "pending", None, 0) for size in (200, 500, 800)
    }
    assert (await both.fetch(accepted["original_url"])).content == jpeg(1200, 900)
    image = await settled(person, accepted["id"])
    assert {(t["size"], t["status"], t["attempts"]) for t in image["thumbnails"]} == {
        (size, "ready", 1) for size in (200, 500, 800)
    }
    assert image["placeholder"]
    assert (await both.fetch(image["thumbnail_url"])).status_code == 200


async def test_rotated_photo_has_its_upright_size_in_the_first_response(person: Person):
    exif = Image.Exif()
    exif[0x0112] = 6
    accepted = (await upload(person, jpeg(1200, 900, exif=exif.tobytes()))).json()
    assert (accepted["width"], accepted["height"]) == (900, 1200)


async def test_image_with_an_invalid_header_is_rejected_immediately(person: Person):
    response = await upload(person, b"\xff\xd8\xff\xe0 not much of a JPEG")
    assert response.status_code == 422
    assert response.json()["code"] == "image_corrupt"
    assert (await person.get("/images")).json()["items"] == []


async def test_thumbnails_fail_if_the_pixels_cannot_be_decoded(both: Service):
    person = await both.person()
    accepted = (await upload(person, CUT_SHORT)).json()
    image = await settled(person, accepted["id"])
    assert {(t["status"], t["attempts"]) for t in image["thumbnails"]} == {("failed", 1)}
    assert "damaged" in image["thumbnails"][0]["reason"]
    assert (await both.fetch(image["original_url"])).content == CUT_SHORT


async def test_failed_thumbnails_are_rendered_again_on_request(both: Service):
    person = await both.person()
    accepted = (await upload(person, CUT_SHORT)).json()
    await settled(person, accepted["id"])
    response = await person.request("POST", f"/images/{accepted['id']}/thumbnails")
    assert response.status_code == 202
    assert {t["status"] for t in response.json()["thumbnails"]} == {"pending"}
    again = await settled(person, accepted["id"])
    assert {(t["status"], t["attempts"]) for t in again["thumbnails"]} == {("failed", 2)}


async def test_requests_for_thumbnails_are_limited(service: Service, person: Person):
    accepted = (await upload(person, CUT_SHORT)).json()
    await settled(person, accepted["id"])
    limit = service.services.thumbnails.job_spec.rate_limit
    assert limit
    for _ in range(limit.limit):
        await service.services.jobs._limiter.count(limit, person.tokens["user"]["id"])
    response = await person.request("POST", f"/images/{accepted['id']}/thumbnails")
    assert (response.status_code, response.json()["code"]) == (429, "too_many_attempts")


async def test_thumbnail_request_changes_nothing_if_no_thumbnail_has_failed(person: Person):
    image = (await person.upload()).json()
    response = await person.request("POST", f"/images/{image['id']}/thumbnails")
    assert response.status_code == 202
    assert {t["status"] for t in response.json()["thumbnails"]} == {"ready"}
    assert (await person.get("/jobs")).json()["items"] == []


async def test_thumbnails_that_stay_pending_can_be_requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        jobs = service.services.jobs._table
        with monkeypatch.context() as patch:
            patch.setattr(jobs, "claim_job", lambda *_, **__: asyncio.sleep(0))  # as if the worker had been killed
            accepted = (await upload(person, jpeg())).json()
            await asyncio.sleep(0.2)
        assert (await person.request("POST", f"/images/{accepted['id']}/thumbnails")).status_code == 202
        assert len((await person.get("/jobs")).json()["items"]) == 1
        monkeypatch.setattr(thumbnails, "_STUCK_AFTER", timedelta(0))
        await person.request("POST", f"/images/{accepted['id']}/thumbnails")
        image = await settled(person, accepted["id"])
        assert {thumbnail["status"] for thumbnail in image["thumbnails"]} == {"ready"}


async def test_thumbnails_of_another_user_cannot_be_requested(service: Service, person: Person):
    image = (await person.upload()).json()
    stranger = await service.person()
    for method, path in (("POST", "thumbnails"), ("GET", "events")):
        response = await stranger.request(method, f"/images/{image['id']}/{path}")
        assert (response.status_code, response.json()["code"]) == (404, "image_missing")


async def test_retry_returns_the_same_image(person: Person):
    first = await upload(person, jpeg(), **{"Idempotency-Key": "k"})
    second = await upload(person, jpeg(), **{"Idempotency-Key": "k"})
    assert first.json()["id"] == second.json()["id"]
    assert len((await person.get("/images")).json()["items"]) == 1


async def test_preference_with_wait_renders_immediately_unless_the_service_is_busy(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        waiting = {"Prefer": "respond-async, wait=10"}
        assert (await upload(person, jpeg(), **waiting)).status_code == 201

        async def full(_file: object, *, owner_id: str) -> None:
            raise Overloaded

        uploads = service.services.uploads
        renderer, uploads._renderer = uploads._renderer, type("Full", (), {"render": staticmethod(full)})()
        assert (await person.upload()).json()["code"] == "overloaded"
        deferred = await upload(person, jpeg(), **waiting)
        uploads._renderer = renderer
        assert deferred.status_code == 202
        assert (await settled(person, deferred.json()["id"]))["thumbnails"][0]["status"] == "ready"


async def test_event_stream_of_an_image_ends_when_its_thumbnails_are_ready(both: Service):
    person = await both.person()
    accepted = (await upload(person, jpeg(1200, 900))).json()
    response = await person.get(f"/images/{accepted['id']}/events")
    assert response.headers["Content-Type"].startswith("text/event-stream")
    seen = parsed(response.text)
    assert all(event["event"] == "image" for event in seen)
    assert json.loads(seen[-1]["data"])["thumbnails"][0]["status"] == "ready"
    again = await person.get(f"/images/{accepted['id']}/events", headers={"Last-Event-ID": seen[-1]["id"]})
    assert parsed(again.text) == []


async def test_image_that_is_deleted_during_rendering_leaves_no_objects(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        accepted = (await upload(person, jpeg(3000, 2000))).json()
        assert (await person.request("DELETE", f"/images/{accepted['id']}")).status_code == 204
        job = (await person.get("/jobs")).json()["items"][0]
        done = (await person.get(f"/jobs/{job['job_id']}?wait=20")).json()
        assert (done["status"], done["error"]) == ("completed", None)
        assert [path for path in (tmp_path / "objects" / "images").rglob("*") if path.is_file()] == []


async def test_job_completes_if_its_image_was_deleted_before_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with running(embedded_settings(tmp_path)) as service:
        person, jobs, held = await service.person(), service.services.jobs, []

        async def hold(job: Job) -> None:
            held.append(job)

        with monkeypatch.context() as patch:
            patch.setattr(jobs, "send", hold)
            accepted = (await upload(person, jpeg())).json()
        assert (await person.request("DELETE", f"/images/{accepted['id']}")).status_code == 204
        await jobs.send(held[0])
        done = (await person.get(f"/jobs/{held[0].id}?wait=20")).json()
        assert (done["status"], done["attempts"], done["error"]) == ("completed", 1, None)


@pytest.mark.parametrize("header", ["respond-async", "RESPOND-ASYNC", "return=minimal, respond-async;foo=bar"])
async def test_prefer_header_is_parsed_in_all_its_forms(person: Person, header: str):
    assert (await upload(person, jpeg(), Prefer=header)).status_code == 202


@pytest.mark.parametrize("header", ["wait=10", "respond-asynchronously", ""])
async def test_other_preferences_are_ignored(person: Person, header: str):
    assert (await upload(person, jpeg(), Prefer=header)).status_code == 201


async def test_retry_without_the_preference_has_no_preference_applied_header(person: Person):
    await upload(person, CUT_SHORT, **{"Idempotency-Key": "again"})
    again = await upload(person, CUT_SHORT, **{"Idempotency-Key": "again", "Prefer": ""})
    assert "Preference-Applied" not in again.headers


async def test_number_of_concurrent_event_streams_is_limited(
    service: Service, person: Person, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(events, "_MAX_WATCHERS_PER_USER", 2)
    image = (await person.upload()).json()
    watchers = service.app.state.watchers
    user_id = person.tokens["user"]["id"]
    with watchers.slot(user_id), watchers.slot(user_id):
        assert (await person.get(f"/images/{image['id']}/events")).json()["code"] == "overloaded"
    for _ in range(5):  # each stream releases its slot
        assert (await person.get(f"/images/{image['id']}/events")).status_code == 200
    monkeypatch.setattr(events, "_MAX_WATCHERS", 1)
    with watchers.slot("another user"):
        assert (await person.get(f"/images/{image['id']}/events")).json()["code"] == "overloaded"
