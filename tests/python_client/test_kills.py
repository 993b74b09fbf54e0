"""Uploads of the command `images` that are cut and killed. Each photo arrives exactly once."""

from __future__ import annotations

import hashlib
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from image_upload_client import ImageClient

from tests.acceptance.conftest import PASSWORD, Running, environment_for
from tests.pictures import jpeg
from tests.python_client.conftest import SECONDS, Command
from tests.resumable.interrupting_proxy import interrupting
from tests.resumable.test_clients import RestartedService

pytestmark = pytest.mark.slow

PHOTOS = 300
KILLED_AFTER = (1, 30, 80, 81, 150, 220, 280)
"""The numbers of images that exist when the command is killed."""
INTERRUPTED_AFTER = 150
"""As with Control+C."""
LARGE = jpeg() + hashlib.shake_256(b"noise").digest(30_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PHOTOS):
        (folder / f"{number}.jpg").write_bytes(jpeg(64 + number % 64, 48, seed=number))
    return folder


@pytest.fixture
def observer(service: Running, command: Command):
    with ImageClient(service.url) as client:
        client.sign_in(command.email, PASSWORD)
        yield client


def wait_for_images(observer: ImageClient, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while observer.account()["usage"]["images"] < count:
        assert process.poll() is None, "the command has ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["sync", "upload"])
def test_a_folder_whose_upload_is_killed_several_times(
    command: Command, observer: ImageClient, folder: Path, name: str
):
    for count in KILLED_AFTER:
        process = command.start(name, folder)
        wait_for_images(observer, count, process)
        process.send_signal(signal.SIGINT if count == INTERRUPTED_AFTER else signal.SIGKILL)
        process.communicate(timeout=SECONDS)
        assert process.returncode == (130 if count == INTERRUPTED_AFTER else -signal.SIGKILL)
    command.run(name, folder)
    stored = Counter(image["sha256"] for image in observer.list())
    assert stored == Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir())
    assert stored.total() == PHOTOS


def test_a_folder_during_whose_upload_the_service_is_killed(signed_out: Command, folder: Path, tmp_path: Path):
    service = RestartedService(environment_for(tmp_path / "data", SECRET_KEY="s" * 40))
    with ImageClient(service.running.url) as client:
        client.register(signed_out.email, PASSWORD)
    interruptions = [(after, service.kill_and_start) for after in (150_000, 400_000)]
    with interrupting(int(service.running.environment["PORT"]), interruptions) as url:
        signed_out.sign_in(url)
        signed_out.run("sync", folder)
        stored = Counter(image["sha256"] for image in signed_out.images())
    service.close()
    assert stored == Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir())


def test_a_large_file_whose_connection_is_cut_and_whose_command_is_killed(
    service: Running, signed_out: Command, tmp_path: Path
):
    photo = tmp_path / "large.jpg"
    photo.write_bytes(LARGE)
    processes: list[subprocess.Popen[str]] = []

    def kill() -> None:
        processes[0].kill()

    interruptions = [
        (8_000_000, lambda: None),
        (16_000_000, kill),
        (24_000_000, lambda: None),
    ]
    with interrupting(int(service.environment["PORT"]), interruptions) as url:
        signed_out.sign_in(url)
        processes.append(signed_out.start("upload", photo))
        processes[0].communicate(timeout=SECONDS)
        with sqlite3.connect(signed_out.configuration / "uploads.sqlite3") as records:
            ((upload_id,),) = records.execute("SELECT upload_id FROM uploads").fetchall()
        records.close()
        output = signed_out.run("upload", photo)
        (image,) = signed_out.images()
        signed_out.run("download", image["id"], "--output", "download.jpg")
    assert image["id"] == upload_id
    assert output.startswith(upload_id)
    assert (signed_out.home / "download.jpg").read_bytes() == LARGE
