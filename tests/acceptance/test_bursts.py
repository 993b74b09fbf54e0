"""Many uploads of expensive files at once are all accepted: only the queue limits how many wait for the renderer."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path

import httpx
import pillow_heif
import pytest

from tests.acceptance.conftest import Running, environment_for, started
from tests.pictures import picture

UPLOADS = 32


def heic(width: int, height: int) -> bytes:
    target = BytesIO()
    pillow_heif.from_pillow(picture(width, height)).save(target, quality=60)
    return target.getvalue()


async def upload_at_once(running: Running, photo: bytes) -> list[httpx.Response]:
    headers = running.register()
    async with httpx.AsyncClient(base_url=running.url, timeout=1200) as client:

        async def upload() -> httpx.Response:
            files = {"file": ("photo.heic", photo)}
            return await client.post("/api/v1/images/upload", files=files, headers=headers)

        return await asyncio.gather(*(upload() for _ in range(UPLOADS)))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_burst_of_heic_photos_is_accepted(tmp_path: Path):
    photo = heic(4032, 3024)
    with started(environment_for(tmp_path / "data")) as running:
        responses = asyncio.run(upload_at_once(running, photo))
    assert [response.status_code for response in responses] == [201] * UPLOADS
    for response in responses:
        assert [thumbnail["status"] for thumbnail in response.json()["thumbnails"]] == ["ready"] * 3
