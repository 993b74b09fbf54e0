"""Exports and account deletion."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.domain.jobs import Job
from tests.api.conftest import PASSWORD, Person, Service, embedded_settings, running
from tests.patience import SECONDS
from tests.pictures import jpeg, transparent_png

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def finished(person: Person, job_id: str) -> dict[str, Any]:
    """Return the job when it has ended. Each request waits up to 20 s for that."""
    job: dict[str, Any] = {"finished_at": None}
    async with asyncio.timeout(SECONDS):
        while not job["finished_at"]:
            job = (await person.get(f"/jobs/{job_id}?wait=20")).json()
    return job


async def export(service: Service, person: Person) -> tuple[dict[str, Any], zipfile.ZipFile]:
    response = await person.post("/auth/me/export")
    assert response.status_code == 202
    asked = response.json()
    assert (asked["kind"], asked["status"], asked["result"]) == ("export", "queued", None)
    job = await finished(person, asked["job_id"])
    assert job["status"] == "completed"
    download = await service.fetch(job["result"]["url"])
    assert download.status_code == 200
    assert "attachment" in download.headers["Content-Disposition"]
    assert download.headers["Content-Type"] == "application/zip"
    return job, zipfile.ZipFile(io.BytesIO(download.content))


async def test_export_contains_all_originals_and_their_metadata(both: Service):
    person = await both.person()
    photo = (await person.upload(jpeg(), filename="beach.jpg", description="At the sea")).json()
    logo = (await person.upload(transparent_png(), filename="logo.png")).json()
    _, archive = await export(both, person)
    assert archive.testzip() is None
    listed = {image["id"]: image for image in json.loads(archive.read("metadata.json"))["images"]}
    assert listed.keys() == {photo["id"], logo["id"]}
    assert archive.read(listed[photo["id"]]["file"]) == jpeg()
    assert archive.read(listed[logo["id"]]["file"]) == transparent_png()
    assert listed[photo["id"]]["filename"] == "beach.jpg"
    assert listed[photo["id"]]["description"] == "At the sea"
    assert listed[photo["id"]]["sha256"] == photo["sha256"]


async def test_export_without_images_contains_an_empty_list(both: Service):
    _, archive = await export(both, await both.person())
    assert archive.namelist() == ["metadata.json"]
    assert json.loads(archive.read("metadata.json")) == {"images": [], "left_out": []}


async def test_an_export_names_its_files_and_what_it_left_out(both: Service):
    person = await both.person()
    names = ["beach.jpg", "Beach.JPG", "no extension", "a:b?.jpg", "beach.jpg"]
    images = [(await person.upload(jpeg(seed=number), filename=name)).json() for number, name in enumerate(names)]
    lost = images.pop()
    user_id = person.tokens["user"]["id"]
    await both.container.services.library._store.delete([f"images/{user_id}/{lost['id']}/original.jpg"])
    job, archive = await export(both, person)
    assert job["result"]["note"].startswith("1 image was left out")
    members = [
        "images/Beach (2).JPG",
        "images/a_b_.jpg",
        "images/beach.jpg",
        "images/no extension.jpg",
        "metadata.json",
    ]
    assert sorted(archive.namelist()) == members
    metadata = json.loads(archive.read("metadata.json"))
    left_out = [(image["id"], image["filename"]) for image in metadata["left_out"]]
    assert left_out == [(lost["id"], "beach.jpg")]
    for image in metadata["images"]:
        assert hashlib.sha256(archive.read(image["file"])).hexdigest() == image["sha256"]


async def test_replaced_export_has_no_url(both: Service):
    person = await both.person()
    first, _ = await export(both, person)
    second, _ = await export(both, person)
    assert (await person.get(f"/jobs/{first['job_id']}")).json()["result"]["url"] is None
    url = (await person.get(f"/jobs/{second['job_id']}")).json()["result"]["url"]
    assert (await both.fetch(url)).status_code == 200


async def test_sign_in_during_account_deletion_returns_no_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with running(embedded_settings(tmp_path)) as service:
        person, services = await service.person(), service.services

        async def hold(_: Job) -> None:
            """Pause as if no worker were running: the account exists a while longer."""

        monkeypatch.setattr(services.jobs, "send", hold)
        assert (await person.request("DELETE", "/auth/me")).status_code == 202
        form = {"username": person.email, "password": PASSWORD}
        signed_in = await service.client.post("/api/v1/auth/token", data=form)
        assert (signed_in.status_code, signed_in.json()["code"]) == (401, "credentials_invalid")
        # A user who signs in at the same moment has a session nevertheless.
        tokens = await services.accounts.sign_in(email=person.email, password=PASSWORD, client="203.0.113.9")
        body = {"refresh_token": tokens.refresh_token}
        refreshed = await service.client.post("/api/v1/auth/refresh", json=body)
        assert (refreshed.status_code, refreshed.json()["code"]) == (401, "refresh_token_invalid")


async def test_exports_are_rate_limited(service: Service):
    person = await service.person()
    for _ in range(10):
        await export(service, person)
    refused = await person.post("/auth/me/export")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    assert int(refused.headers["Retry-After"]) > 0


async def test_account_deletion_deletes_the_account_and_all_its_data(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        person, other = await service.person(), await service.person()
        for seed in range(3):
            assert (await person.upload(jpeg(seed=seed))).status_code == 201
        kept = (await other.upload()).json()
        await export(service, person)
        announced = {"filename": "a.jpg", "content_type": "image/jpeg", "size": 5}
        assert (await person.request("POST", "/images/uploads", json=announced)).status_code == 201
        user_id = (await person.get("/auth/me")).json()["id"]
        response = await person.request("DELETE", "/auth/me")
        assert response.status_code == 202
        assert response.json()["kind"] == "delete_account"
        await leave(service, user_id)
        assert user_id not in "".join(str(path) for path in (tmp_path / "objects").rglob("*") if path.is_file())
        assert (await service.fetch(kept["original_url"])).status_code == 200
        assert (await other.get(f"/images/{kept['id']}")).status_code == 200


async def test_tokens_of_a_closed_account_are_rejected(both: Service):
    person = await both.person()
    await person.upload()
    user_id = (await person.get("/auth/me")).json()["id"]
    assert (await person.request("DELETE", "/auth/me")).status_code == 202
    for method, path in (("GET", "/images"), ("GET", "/auth/me"), ("DELETE", "/auth/me"), ("GET", "/jobs")):
        response = await person.request(method, path)
        assert (response.status_code, response.json()["code"]) == (401, "token_invalid")
    assert (await person.upload()).status_code == 401
    refresh = {"refresh_token": person.tokens["refresh_token"]}
    assert (await both.client.post("/api/v1/auth/refresh", json=refresh)).status_code == 401
    await leave(both, user_id)
    again = {"username": person.email, "password": PASSWORD}
    assert (await both.client.post("/api/v1/auth/token", data=again)).status_code == 401
    fresh = await both.client.post("/api/v1/auth/register", json={"email": person.email, "password": PASSWORD})
    assert fresh.status_code == 201


async def leave(service: Service, user_id: str) -> None:
    """Wait for the job that removes the user. Only its record remains, and no user can request it."""
    table = service.services.jobs._table
    for _ in range(400):
        jobs, _ = await table.page_jobs(user_id, before=None, limit=10)
        if [(job.kind, job.status) for job in jobs] == [("delete_account", "completed")]:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(jobs)


async def test_second_export_request_returns_the_running_export(service: Service, monkeypatch: pytest.MonkeyPatch):
    person = await service.person()
    free, taken = asyncio.Event(), asyncio.Event()
    exports = service.services.exports
    write = exports._write

    async def slowly(*arguments: Any) -> None:
        taken.set()
        await free.wait()
        await write(*arguments)

    monkeypatch.setattr(exports, "_write", slowly)
    first = (await person.post("/auth/me/export")).json()
    await taken.wait()
    assert (await person.post("/auth/me/export")).json()["job_id"] == first["job_id"]
    free.set()
    await finished(person, first["job_id"])
    assert (await person.post("/auth/me/export")).json()["job_id"] != first["job_id"]


async def test_only_the_newest_export_of_each_owner_is_kept(both: Service):
    person = await both.person()
    await person.upload()
    store = both.services.uploads._store
    user_id = person.tokens["user"]["id"]
    for _ in range(2):
        job, _archive = await export(both, person)
        assert [kept.key async for kept in store.walk(f"exports/{user_id}/")] == [
            f"exports/{user_id}/{job['job_id']}.zip"
        ]


async def test_export_is_retried_if_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        await person.upload()
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1000, 999, 1))
        job = (await person.post("/auth/me/export")).json()
        for _ in range(100):
            seen = (await person.get(f"/jobs/{job['job_id']}")).json()
            if seen["status"] == "retrying":
                break
            await asyncio.sleep(0.2)
    assert (seen["status"], seen["attempts"], seen["error"]["code"]) == ("retrying", 0, "dependency_unavailable")
