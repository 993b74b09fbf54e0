"""Downloads of selected images as one ZIP file, on both backends."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from typing import Any

import pytest

from app.common.rate_limit import RateLimit
from app.domain.ids import new_id
from app.services import downloads
from tests.api.conftest import Person, Service
from tests.api.test_account_deletion import export, finished
from tests.pictures import jpeg, transparent_png

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def download(person: Person, *image_ids: str, key: str | None = None) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    response = await person.request("POST", "/images/download", json={"image_ids": image_ids}, headers=headers)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    assert job["kind"] == "download"
    return job


async def upload(person: Person, content: bytes, filename: str) -> str:
    image_id: str = (await person.upload(content, filename=filename)).json()["id"]
    return image_id


async def opened(service: Service, job: dict[str, Any]) -> zipfile.ZipFile:
    response = await service.fetch(job["result"]["url"])
    assert response.headers["Content-Type"] == "application/zip"
    assert "attachment" in response.headers["Content-Disposition"]
    return zipfile.ZipFile(io.BytesIO(response.content))


async def test_a_download_contains_the_selected_originals_and_nothing_else(both: Service):
    person, stranger = await both.person(), await both.person()
    photo, logo = await upload(person, jpeg(), "beach.jpg"), await upload(person, transparent_png(), "logo.png")
    await upload(person, jpeg(), "not selected.jpg")
    foreign = await upload(stranger, jpeg(), "foreign.jpg")
    asked = await download(person, logo.upper(), photo, photo, foreign, new_id())
    job = await finished(person, asked["job_id"])
    assert (job["status"], job["error"]) == ("completed", None)
    assert job["result"]["note"].startswith("2 images were left out, because ")
    archive = await opened(both, job)
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == ["beach.jpg", "logo.png"]
    assert archive.read("beach.jpg") == jpeg()
    assert archive.read("logo.png") == transparent_png()


async def test_a_retry_with_the_same_key_returns_the_same_job(both: Service):
    person = await both.person()
    image_id = await upload(person, jpeg(), "beach.jpg")
    first = await download(person, image_id, key="k1")
    assert (await download(person, image_id, key="k1"))["job_id"] == first["job_id"]
    other = await person.request(
        "POST", "/images/download", json={"image_ids": [new_id()]}, headers={"Idempotency-Key": "k1"}
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await finished(person, first["job_id"]))["result"]["note"] is None


async def test_a_download_of_missing_images_fails(both: Service):
    person = await both.person()
    job = await finished(person, (await download(person, new_id()))["job_id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "image_missing")
    assert await keys(both, person) == [f"{job['job_id']}.json"]


async def keys(service: Service, person: Person) -> list[str]:
    user_id = (await person.get("/auth/me")).json()["id"]
    return [key.rpartition("/")[2] for key in await service.keys(f"exports/{user_id}/downloads/")]


async def test_a_later_download_replaces_older_ones(both: Service, monkeypatch: pytest.MonkeyPatch):
    person = await both.person()
    image_id = await upload(person, jpeg(), "beach.jpg")
    first = await finished(person, (await download(person, image_id))["job_id"])
    second = await finished(person, (await download(person, image_id))["job_id"])
    await opened(both, first)
    monkeypatch.setattr(downloads, "_KEPT", timedelta(seconds=-60))
    third = await finished(person, (await download(person, image_id))["job_id"])
    # The lists of the selected images stay: an older download may be running.
    lists = [f"{job['job_id']}.json" for job in (first, second, third)]
    assert await keys(both, person) == [*lists, f"{third['job_id']}.zip"]
    for job in (first, second):
        assert (await person.get(f"/jobs/{job['job_id']}")).json()["result"]["url"] is None


async def test_an_export_keeps_the_downloads(both: Service):
    person = await both.person()
    image_id = await upload(person, jpeg(), "beach.jpg")
    job = await finished(person, (await download(person, image_id))["job_id"])
    await export(both, person)
    await export(both, person)
    await opened(both, job)


@pytest.mark.parametrize("image_ids", [[], ["x"] * 501, None, "x"])
async def test_a_selection_has_1_to_500_images(service: Service, image_ids: Any):
    person = await service.person()
    response = await person.request("POST", "/images/download", json={"image_ids": image_ids})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"].endswith("image_ids")


async def test_downloads_are_rate_limited_and_a_refused_one_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    person = await service.person()
    limiter = service.services.jobs._limiter
    count = limiter.count

    async def count_strictly(limit: Any, subject: str) -> None:
        await count(RateLimit("download", limit=1, window_seconds=86_400), subject)

    monkeypatch.setattr(limiter, "count", count_strictly)
    await download(person, new_id())
    refused = await person.request("POST", "/images/download", json={"image_ids": [new_id()]})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    assert len([key for key in await keys(service, person) if key.endswith(".json")]) == 1
