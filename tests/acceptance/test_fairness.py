"""One user's many uploads do not delay those of another."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from tests.acceptance.conftest import Running, environment_for, started
from tests.pictures import jpeg

UPLOADS = 24
FEW = 5


async def use(running: Running) -> int:
    """Return how many uploads of one user were completed while another user's small upload waited."""
    busy, other = running.register(), running.register()
    large, small = jpeg(4000, 3000), jpeg(200, 150)
    completed = 0
    first_completed = asyncio.Event()
    async with httpx.AsyncClient(base_url=running.url, timeout=600) as client:

        async def upload(photo: bytes, headers: dict[str, str]) -> None:
            files = {"file": ("photo.jpg", photo)}
            response = await client.post("/api/v1/images/upload", files=files, headers=headers)
            assert response.status_code == 201, response.text

        async def upload_large() -> None:
            nonlocal completed
            await upload(large, busy)
            completed += 1
            first_completed.set()

        async with asyncio.TaskGroup() as group:
            for _ in range(UPLOADS):
                group.create_task(upload_large())
            await first_completed.wait()
            before = completed
            await upload(small, other)
            while_waiting = completed - before
    assert completed == UPLOADS
    return while_waiting


def test_another_users_upload_is_delayed_by_a_few_renderings_only(tmp_path: Path):
    with started(environment_for(tmp_path / "data", RENDER_PROCESSES="1")) as running:
        assert asyncio.run(use(running)) <= FEW
