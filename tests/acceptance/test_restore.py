"""A copy of the database restored beside newer objects: nothing is deleted, and the records can be rebuilt."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import ROOT, Running, environment_for, started, upload
from tests.pictures import jpeg

pytestmark = pytest.mark.slow


def reconcile(environment: dict[str, str], *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "app", "reconcile", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=300)
    return [json.loads(line) for line in done.stdout.splitlines()]


def images(running: Running, headers: dict[str, str]) -> dict[str, dict[str, Any]]:
    page = httpx.get(f"{running.url}/api/v1/images", params={"limit": 100}, headers=headers).json()
    return {item["id"]: item for item in page["items"]}


def known(view: dict[str, Any]) -> tuple[Any, ...]:
    """Return what the API returns for an image."""
    edited = ("filename", "description", "custom_metadata")
    return tuple(view[name] for name in (*edited, "size", "sha256", "width", "height", "metadata", "source"))


def upload_some(running: Running, headers: dict[str, str], *, seeds: range) -> list[dict[str, Any]]:
    with httpx.Client(base_url=running.url, timeout=300) as client:
        views = [upload(client, headers, jpeg(seed=seed), description=f"Photo {seed}").json() for seed in seeds]
        for number, view in enumerate(views):
            changes = {
                "filename": f"renamed {number}.jpg",
                "description": f"Edited {number} 🏖",
                "custom_metadata": {"number": str(number)},
            }
            edited = client.patch(f"/api/v1/images/{view['id']}", json=changes, headers=headers)
            assert edited.status_code == 200, edited.text
            views[number] = edited.json()
    return views


def test_images_added_after_the_backup_are_kept_and_adopted(tmp_path: Path):
    environment = environment_for(tmp_path / "data")
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    with started(environment) as running:
        headers = running.register()
        before = upload_some(running, headers, seeds=range(5))
        with sqlite3.connect(data / "service.db") as source, sqlite3.connect(copy) as target:
            source.backup(target)
        after = upload_some(running, headers, seeds=range(5, 31))
        deleted = after.pop(3)
        response = httpx.delete(f"{running.url}/api/v1/images/{deleted['id']}", headers=headers)
        assert response.status_code == 204
    for left in data.glob("service.db*"):
        left.unlink()
    shutil.move(copy, data / "service.db")

    with started(environment) as running:
        (findings,) = reconcile(environment)
        assert (findings["images"], findings["unreferenced"], findings["records_lost"]) == (5, 125, 0)
        assert images(running, headers).keys() == {view["id"] for view in before}
        assert len(list((data / "objects").rglob("original.jpg"))) == 30
        listed = reconcile(environment, "--adopt")
        assert listed.pop() == {"originals_without_a_record": 25, "adopted": 0}
        assert {line["image_id"] for line in listed} == {view["id"] for view in after}
        assert {line["filename"] for line in listed} == {view["filename"] for view in after}
        assert {line["result"] for line in listed} == {"listed"}
        assert len(images(running, headers)) == 5

        assert reconcile(environment, "--adopt", "--confirm").pop() == {
            "originals_without_a_record": 25,
            "adopted": 25,
        }
        found = images(running, headers)
        assert {view["id"]: known(view) for view in before + after} == {i: known(view) for i, view in found.items()}
        assert deleted["id"] not in found
        usage = httpx.get(f"{running.url}/api/v1/auth/me", headers=headers).json()["usage"]
        assert (usage["images"], usage["bytes"]) == (30, sum(view["size"] for view in found.values()))
        for view in found.values():
            assert len(httpx.get(view["original_url"]).content) == view["size"]
        deadline = time.monotonic() + 240
        while any(t["status"] != "ready" for view in images(running, headers).values() for t in view["thumbnails"]):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert reconcile(environment, "--adopt") == [{"originals_without_a_record": 0, "adopted": 0}]
        (findings,) = reconcile(environment)
        assert (findings["images"], findings["unreferenced"], findings["records_lost"]) == (30, 0, 0)
