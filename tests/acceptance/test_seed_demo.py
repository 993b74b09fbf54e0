"""The demo account that `make dev` creates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from infra.seed_demo import EMAIL, PASSWORD, PHOTOS
from tests.acceptance.conftest import ROOT, Running, environment_for, started


def seed(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.seed_demo", url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def filenames(running: Running) -> list[str]:
    form = {"username": EMAIL, "password": PASSWORD}
    token = httpx.post(f"{running.url}/api/v1/auth/token", data=form).json()["access_token"]
    images = httpx.get(f"{running.url}/api/v1/images", headers={"Authorization": f"Bearer {token}"}).json()["items"]
    assert all(thumbnail["status"] == "ready" for image in images for thumbnail in image["thumbnails"])
    return sorted(image["filename"] for image in images)


@pytest.mark.slow
def test_seeding_twice_uploads_the_photos_once(tmp_path: Path):
    with started(environment_for(tmp_path / "data")) as running:
        first, second = seed(running.url), seed(running.url)
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert PASSWORD in second.stdout
        assert filenames(running) == sorted(PHOTOS)


def test_a_server_on_another_machine_is_refused():
    done = seed("https://photos.example.com")
    assert done.returncode == 1
    assert "password of the demo account is public" in done.stderr
