"""`GET /limits` reports the settings that concern uploads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.conftest import Service, embedded_settings, running


@pytest.mark.asyncio(loop_scope="session")
async def test_the_limits_are_public_and_may_be_cached(service: Service):
    response = await service.client.get("/api/v1/limits")
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "public, max-age=300")
    limits = response.json()
    assert (limits["max_file_size"], limits["max_direct_file_size"]) == (10 * 1024 * 1024, 50 * 1024 * 1024)
    assert limits["direct_upload_from"] == limits["resumable_upload_from"] == 8 * 1024 * 1024
    assert limits["quota"] == {"images": None, "bytes": None}
    assert {"image/jpeg", "image/avif"} <= set(limits["content_types"])


async def test_the_limits_are_those_of_the_settings(tmp_path: Path):
    settings = embedded_settings(
        tmp_path,
        max_file_size=1000,
        max_direct_file_size=2000,
        allowed_extensions="png",
        max_pixels=3000,
        max_frames=4,
        thumbnail_sizes="100",
        rendition_sizes="300,4096",
        user_quota_images=5,
        user_quota_bytes=6000,
    )
    async with running(settings) as service:
        assert (await service.client.get("/api/v1/limits")).json() == {
            "max_file_size": 1000,
            "max_direct_file_size": 2000,
            "direct_upload_from": 1000,
            "resumable_upload_from": 1000,
            "max_request_size": None,
            "max_open_uploads": 100,
            "content_types": ["image/png"],
            "extensions": ["png"],
            "max_pixels": 3000,
            "max_frames": 4,
            "max_filename_length": 255,
            "max_description_length": 2000,
            "thumbnail_sizes": [100],
            "rendition_sizes": [300, 4096],
            "quota": {"images": 5, "bytes": 6000},
            "has_local_accounts": True,
            "can_reset_password": False,
        }
