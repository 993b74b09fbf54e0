"""A backup of a running service, and its restore into an empty folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import ROOT, Running, environment_for, run_command, started, upload
from tests.pictures import jpeg

CLIENTS = 4


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def reconcile(environment: dict[str, str]) -> dict[str, Any]:
    done = run(environment, "reconcile")
    assert done.returncode == 0, done.stderr
    findings: dict[str, Any] = json.loads(done.stdout)
    return findings


def listed(running: Running, headers: dict[str, str]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = {"limit": 100, **({"cursor": cursor} if cursor else {})}
        page = httpx.get(f"{running.url}/api/v1/images", params=query, headers=headers, timeout=60).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return items


@contextmanager
def busy_clients(running: Running, headers: dict[str, str]) -> Iterator[threading.Semaphore]:
    """Clients that upload two images and delete one of them, again and again. Yields the count of their rounds."""
    stop, rounds, failures = threading.Event(), threading.Semaphore(0), []

    def work(number: int) -> None:
        seed = number * 1000
        with httpx.Client(base_url=running.url, timeout=120) as client:
            while not stop.is_set():
                seed += 2
                ids = [upload(client, headers, jpeg(seed=seed + extra)).json()["id"] for extra in range(2)]
                response = client.delete(f"/api/v1/images/{ids[0]}", headers=headers)
                if response.status_code != 204:
                    failures.append(response.text)
                rounds.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_backup_of_a_busy_service_is_restored_completely(tmp_path: Path):
    environment = environment_for(tmp_path / "data")
    with started(environment) as running:
        headers = running.register()
        with busy_clients(running, headers) as rounds:
            for _ in range(CLIENTS):
                rounds.acquire()
            done = run(environment, "backup", str(tmp_path / "copy"))
            for _ in range(CLIENTS):
                rounds.acquire()
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["images"] >= CLIENTS
        assert report["damaged"] == 0
        refused = run_command(environment, "restore", str(tmp_path / "copy"))
        assert "Another process is serving" in refused.output
    assert (tmp_path / "copy" / "secret").stat().st_mode & 0o777 == 0o600
    assert not list((tmp_path / "copy").glob("service.db-*"))
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path / "copy", check=False).returncode == 0

    environment = environment_for(tmp_path / "restored")
    done = run(environment, "restore", str(tmp_path / "copy"))
    assert done.returncode == 0, done.stderr
    with started(environment) as running:
        findings = reconcile(environment)
        assert findings["images"] == report["images"]
        assert [name for name, count in findings.items() if count and name not in ("images", "objects")] == []
        # The token was signed with the secret of the backup.
        images = listed(running, headers)
        assert len(images) == report["images"]
        for image in images:
            assert hashlib.sha256(httpx.get(image["original_url"]).content).hexdigest() == image["sha256"]
            for thumbnail in image["thumbnails"]:
                assert httpx.get(thumbnail["url"]).status_code == 200


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the data of a service that has one image, and a copy of it."""
    folder = tmp_path_factory.mktemp("backed_up")
    environment = environment_for(folder / "data")
    with started(environment) as running, httpx.Client(base_url=running.url, timeout=120) as client:
        assert upload(client, running.register(), jpeg()).status_code == 201
    done = run_command(environment, "backup", str(folder / "copy"))
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def copy(backed_up: Path, tmp_path: Path) -> Path:
    """Return a copy that the test may damage. Beside it, in `data`, is what it is a copy of."""
    shutil.copytree(backed_up, tmp_path, dirs_exist_ok=True)
    return tmp_path / "copy"


def test_a_restore_refuses_what_it_would_mix_or_cannot_verify(copy: Path, tmp_path: Path):
    target = tmp_path / "target"
    target.mkdir()
    environment = environment_for(target)
    (target / "service.db-wal").write_text("left over")
    refused = run_command(environment, "restore", str(copy))
    assert refused.exit_code == 1
    assert "is not empty: it contains service.db-wal" in refused.output
    (target / "service.db-wal").unlink()

    (original,) = copy.rglob("original.jpg")
    content = original.read_bytes()
    original.unlink()
    assert "original.jpg is missing. Nothing was restored." in run_command(environment, "restore", str(copy)).output
    original.write_bytes(content[:-1] + b"?")
    assert "original.jpg is damaged" in run_command(environment, "restore", str(copy)).output
    assert not {entry.name for entry in target.iterdir()} - {"spool", "serving.lock"}
    original.write_bytes(content)
    (copy / "service.db-shm").write_text("left by a program that opened the copy")
    assert run_command(environment, "restore", str(copy)).exit_code == 0
    assert not list(target.glob("service.db-*"))

    (copy / "SHA256SUMS").unlink()
    assert "the backup was interrupted" in run_command(environment_for(tmp_path / "other"), "restore", str(copy)).output


def test_a_backup_refuses_a_folder_in_use_and_other_backends(copy: Path, tmp_path: Path):
    assert "is not empty" in run_command(environment_for(tmp_path / "data"), "backup", str(copy)).output
    assert (
        "has no service.db" in run_command(environment_for(tmp_path / "none"), "backup", str(tmp_path / "new")).output
    )
    aws = environment_for(tmp_path / "data", BACKEND="aws", SECRET_KEY="x" * 40)
    assert "point-in-time recovery" in run_command(aws, "backup", str(tmp_path / "new")).output


def test_a_backup_reports_damaged_originals(copy: Path, tmp_path: Path):
    assert copy.exists()
    (original,) = (tmp_path / "data" / "objects").rglob("original.jpg")
    original.unlink()
    done = run_command(environment_for(tmp_path / "data"), "backup", str(tmp_path / "second"))
    assert done.exit_code == 1
    assert json.loads(done.stdout.splitlines()[0])["damaged"] == 1
    assert "1 images have no original" in done.output
