"""`python -m app rerender` after THUMBNAIL_SIZES was changed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.conftest import ROOT, Running, environment_for, run_command, started, upload
from tests.pictures import jpeg

IMAGES = 6


def views(running: Running, headers: dict[str, str]) -> list[dict[str, Any]]:
    page = httpx.get(f"{running.url}/api/v1/images", headers=headers).json()
    items: list[dict[str, Any]] = page["items"]
    return items


def test_missing_sizes_are_rendered_once_also_after_an_interruption(tmp_path: Path):
    environment = environment_for(tmp_path / "data", THUMBNAIL_SIZES="100,200")
    with started(environment) as running, httpx.Client(base_url=running.url, timeout=120) as client:
        headers = running.register()
        for seed in range(IMAGES):
            assert upload(client, headers, jpeg(seed=seed)).status_code == 201
    environment["THUMBNAIL_SIZES"] = "50,200"
    with started(environment) as running:
        command = [sys.executable, "-m", "app", "rerender", "--rate", "0.5"]
        interrupted = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        objects, deadline = tmp_path / "data" / "objects", time.monotonic() + 300
        while not list(objects.rglob("50.jpg")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        interrupted.send_signal(signal.SIGKILL)
        interrupted.wait(20)
        done = run_command(environment, "rerender")
        assert done.exit_code == 0, done.output
        rendered = int(done.stdout.split()[2])
        assert 1 <= rendered <= IMAGES
        found = views(running, headers)
        assert len(found) == IMAGES
        for view in found:
            assert [thumbnail["size"] for thumbnail in view["thumbnails"]] == [50, 100, 200]
            for thumbnail in view["thumbnails"]:
                assert httpx.get(thumbnail["url"]).status_code == 200
        assert run_command(environment, "rerender").stdout.startswith(f"{IMAGES} images: 0 rendered, 0 failed")


def test_images_that_cannot_be_rendered_are_named(tmp_path: Path):
    environment = environment_for(tmp_path / "data", THUMBNAIL_SIZES="100")
    with started(environment) as running, httpx.Client(base_url=running.url, timeout=120) as client:
        headers = running.register()
        image_id = upload(client, headers, jpeg()).json()["id"]
    next((tmp_path / "data" / "objects").rglob("original.jpg")).unlink()
    done = run_command({**environment, "THUMBNAIL_SIZES": "100,300"}, "rerender")
    assert done.exit_code == 1
    assert "1 images: 0 rendered, 1 failed" in done.stdout
    assert f"{image_id}: " in done.output
