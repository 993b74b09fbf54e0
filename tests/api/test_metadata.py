"""Tests of the metadata of images, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.conftest import Service, embedded_settings, running
from tests.exif_data import exif
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")


def photo() -> bytes:
    return jpeg(40, 30, exif=exif().tobytes())


async def test_metadata_of_the_file_are_in_the_view(both: Service):
    person = await both.person()
    uploaded = (await person.upload(photo())).json()
    metadata = uploaded["metadata"]
    assert (metadata["taken_at"], metadata["taken_offset"]) == ("2026-07-14T18:03:22.120", "+02:00")
    assert (metadata["camera_make"], metadata["exposure_seconds"], metadata["orientation"]) == ("Canon", 0.008, 6)
    assert metadata["position"] is None
    assert (await person.get(f"/images/{uploaded['id']}")).json()["metadata"] == metadata


async def test_metadata_are_read_although_the_thumbnails_are_rendered_later(both: Service):
    person = await both.person()
    response = await person.post("/images/upload", files={"file": photo()}, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.json()["metadata"]["taken_at"] == "2026-07-14T18:03:22.120"


async def test_file_without_metadata_has_empty_metadata(both: Service):
    person = await both.person()
    assert set((await person.upload(jpeg(20, 20))).json()["metadata"].values()) == {None}


async def test_position_is_kept_if_the_service_is_configured_so(tmp_path: Path):
    async with running(embedded_settings(tmp_path, keep_location=True)) as service:
        person = await service.person()
        position = (await person.upload(photo())).json()["metadata"]["position"]
        assert (position["latitude"], position["altitude"]) == (-33.856784, -3.5)
