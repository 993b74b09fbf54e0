"""Concurrent changes between two steps of a request or a job must leave no unwanted data."""

from __future__ import annotations

import asyncio
import time
import zipfile
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from app.domain.ids import new_id
from app.jobs import worker as background
from app.services import exports
from tests.api.conftest import Person, Service, embedded_settings, running
from tests.api.test_background_rendering import upload as upload_async
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Meanwhile:
    """`Meanwhile(store, on="fetch", do=...)` does that before each call of `fetch`, and passes everything on."""

    def __init__(self, real: Any, *, on: str, do: Callable[[], Awaitable[object]]) -> None:
        self._real = real
        self._on = on
        self._do = do

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name != self._on:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._do()
            return await method(*args, **kwargs)

        return call


def files(folder: Path) -> list[Path]:
    prefixes = ("images", "incoming", "exports")
    return [path for prefix in prefixes for path in (folder / "objects" / prefix).rglob("*") if path.is_file()]


async def user_id(person: Person) -> str:
    found: str = (await person.get("/auth/me")).json()["id"]
    return found


async def wait_until_gone(service: Service, owner_id: str) -> None:
    """Find the job that removes its owner, which cannot be requested without a token."""
    for _ in range(400):
        jobs, _ = await service.services.jobs._table.page_jobs(owner_id, before=None, limit=2)
        if [(job.kind, job.status) for job in jobs] == [("delete_account", "completed")]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("still there")


async def wait_for_jobs(service: Service, person: Person) -> list[dict[str, Any]]:
    for _ in range(400):
        jobs: list[dict[str, Any]] = (await person.get("/jobs")).json()["items"]
        if all(job["finished_at"] for job in jobs):
            return jobs
        await asyncio.sleep(0.05)
    raise AssertionError(jobs)


async def test_image_deleted_during_rendering_is_not_a_failure(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        thumbnails = service.services.thumbnails

        async def delete() -> None:
            (image,) = (await person.get("/images")).json()["items"]
            assert (await person.request("DELETE", f"/images/{image['id']}")).status_code == 204

        thumbnails._store = Meanwhile(thumbnails._store, on="fetch", do=delete)
        await upload_async(person, jpeg())
        (job,) = await wait_for_jobs(service, person)
        assert (job["status"], job["error"]) == ("completed", None)


async def test_upload_during_account_deletion_leaves_nothing(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        uploads = service.services.uploads

        async def leave() -> None:
            assert (await person.request("DELETE", "/auth/me")).status_code == 202
            await wait_until_gone(service, owner)

        owner = await user_id(person)
        uploads._store = Meanwhile(uploads._store, on="put_file", do=leave)
        assert (await person.upload()).json()["code"] == "token_invalid"
        assert files(tmp_path) == []


async def test_export_during_account_deletion_leaves_nothing(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        await person.upload()
        services = service.services
        owner = await user_id(person)
        has_left = asyncio.Event()

        async def leave() -> None:
            assert (await person.request("DELETE", "/auth/me")).status_code == 202
            await wait_until_gone(service, owner)
            has_left.set()

        services.exports._store = Meanwhile(services.exports._store, on="put_file", do=leave)
        assert (await person.post("/auth/me/export")).status_code == 202
        async with asyncio.timeout(300):
            await has_left.wait()
    assert files(tmp_path) == []


async def test_interrupted_export_does_not_count_as_an_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    is_writing = asyncio.Event()
    loop, add = asyncio.get_running_loop(), exports._add

    def add_slowly(archive: zipfile.ZipFile, original: BinaryIO, name: str, uploaded_at: datetime) -> None:
        with archive.open("slow", "w") as member:
            loop.call_soon_threadsafe(is_writing.set)
            time.sleep(0.5)
            member.write(b"1")
        add(archive, original, name, uploaded_at)

    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        await person.upload()
        with monkeypatch.context() as patched:
            patched.setattr(exports, "_add", add_slowly)
            patched.setattr(background, "_STOP_SECONDS", 0)
            assert (await person.post("/auth/me/export")).status_code == 202
            async with asyncio.timeout(300):
                await is_writing.wait()
            await service.container.worker._finish()
        # The job was released and started again immediately, and that attempt counts.
        (job,) = await wait_for_jobs(service, person)
        assert (job["status"], job["attempts"]) == ("completed", 1)


async def test_export_stored_just_before_the_owner_is_removed_is_deleted(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        services = service.services
        owner = await user_id(person)

        async def store() -> None:
            await services.exports._store.put(f"exports/{owner}/{new_id()}.zip", b"zip", content_type="application/zip")

        deletion = services.account_deletion
        deletion._owners = Meanwhile(deletion._owners, on="delete_owner_data", do=store)
        assert (await person.request("DELETE", "/auth/me")).status_code == 202
        await wait_until_gone(service, owner)
    assert files(tmp_path) == []
