"""Upgrades from the previous version, and rollbacks to it, keep every image, job and account.

The previous version is taken from the git history and runs with the same libraries.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import PASSWORD, ROOT, Running, environment_for, started
from tests.acceptance.worker_process import ASYNC, pages, wait_until_done, worker
from tests.aws_emulators import AwsEmulator
from tests.pictures import jpeg

pytestmark = pytest.mark.slow

PREVIOUS = "ece57db"
OLD_WORKER = ("-m", "app.worker")
SECRET = {"SECRET_KEY": "a secret that both versions share, 40 chars"}


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the source of the previous version."""
    git = shutil.which("git") or "git"
    archive = subprocess.run([git, "archive", PREVIOUS], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"the git history does not contain {PREVIOUS}")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


class User:
    """A user whose images, jobs and account must outlive a change of version."""

    def __init__(self, running: Running, email: str) -> None:
        self.email = email
        self.photos: dict[str, bytes] = {}
        self._register(running)

    def _register(self, running: Running) -> None:
        body = {"email": self.email, "password": PASSWORD, "display_name": "Ada"}
        response = httpx.post(f"{running.url}/api/v1/auth/register", json=body, timeout=300)
        assert response.status_code == 201, response.text

    def sign_in(self, running: Running) -> httpx.Client:
        form = {"username": self.email, "password": PASSWORD}
        response = httpx.post(f"{running.url}/api/v1/auth/token", data=form, timeout=300)
        assert response.status_code == 200, response.text
        headers = {"Authorization": f"Bearer {response.json()['access_token']}"}
        return httpx.Client(base_url=f"{running.url}/api/v1", headers=headers, timeout=300)

    def upload(self, running: Running, seed: int, *, key: str | None = None, **headers: str) -> str:
        photo = jpeg(640, 480, seed=seed)
        if key:
            headers["Idempotency-Key"] = key
        with self.sign_in(running) as client:
            files = {"file": (f"{seed}.jpg", photo)}
            response = client.post("/images/upload", files=files, data={"description": "d"}, headers=headers)
        assert response.status_code in (201, 202), response.text
        image_id: str = response.json()["id"]
        self.photos[image_id] = photo
        return image_id

    def check(self, running: Running) -> None:
        """Check that each image is listed, with its original and all thumbnails, and that the usage is correct."""
        with self.sign_in(running) as client:
            listed = {image["id"]: image for image in pages(running, client.headers, "/images")}
            assert listed.keys() == self.photos.keys()
            for image_id, photo in self.photos.items():
                image = listed[image_id]
                assert client.get(image["original_url"], headers={"Authorization": ""}).content == photo
                assert image["description"] == "d"
                assert {thumbnail["status"] for thumbnail in image["thumbnails"]} == {"ready"}
                for thumbnail in image["thumbnails"]:
                    assert client.get(thumbnail["url"], headers={"Authorization": ""}).status_code == 200
            me = client.get("/auth/me").json()
        usage = me["usage"]
        assert (usage["images"], usage["bytes"]) == (len(self.photos), sum(map(len, self.photos.values())))
        assert me["display_name"] == "Ada"

    def jobs(self, running: Running) -> dict[str, dict[str, Any]]:
        with self.sign_in(running) as client:
            return {job["job_id"]: job for job in pages(running, client.headers, "/jobs")}


def wait_until_deleted(user: User, running: Running) -> None:
    form = {"username": user.email, "password": PASSWORD}
    deadline = time.monotonic() + 300
    while httpx.post(f"{running.url}/api/v1/auth/register", json={"email": user.email, "password": PASSWORD}).is_error:
        assert time.monotonic() < deadline, "the account was not deleted"
        assert httpx.post(f"{running.url}/api/v1/auth/token", data=form).status_code == 401
        time.sleep(0.5)


def use(running: Running, user: User, seed: int) -> None:
    """Create one of each kind of record. Without a worker, its jobs remain to be done."""
    user.upload(running, seed)
    user.upload(running, seed + 1, key=f"key-{seed}")
    user.upload(running, seed + 2, **ASYNC)
    with user.sign_in(running) as client:
        # The previous version exports on GET.
        responses = client.post("/auth/me/export"), client.get("/auth/me/export")
        assert sorted(response.status_code for response in responses) == [202, 405]


def repeat(running: Running, user: User, seed: int) -> None:
    """Repeat the request with an idempotency key of `use`: the image must be the same one."""
    before = set(user.photos)
    user.upload(running, seed + 1, key=f"key-{seed}")
    assert set(user.photos) == before


def test_an_embedded_service_is_upgraded_and_rolled_back(previous: Path, tmp_path: Path):
    environment = environment_for(tmp_path / "data")
    with started(environment, command=("main.py",), root=previous) as running:
        user = User(running, "ada@example.com")
        use(running, user, 0)
        with user.sign_in(running) as client:
            wait_until_done(running, client.headers)
        jobs = user.jobs(running)
        photos = dict(user.photos)
    with started(environment) as running:
        user.check(running)
        repeat(running, user, 0)
        assert {job_id: job["status"] for job_id, job in user.jobs(running).items()} == dict.fromkeys(jobs, "completed")
        use(running, user, 10)
        with user.sign_in(running) as client:
            wait_until_done(running, client.headers)
        user.check(running)
    assert "restore a backup" in refusal(environment, previous)
    data = tmp_path / "data"
    (backup,) = data.glob("service.db.version-*[0-9]")
    for name in ("service.db", "service.db-wal", "service.db-shm"):
        (data / name).unlink(missing_ok=True)
    backup.rename(data / "service.db")
    with started(environment, command=("main.py",), root=previous) as running:
        user.photos = photos
        user.check(running)
        assert user.jobs(running).keys() == jobs.keys()


def test_both_versions_work_on_the_same_table_and_queue(previous: Path, tmp_path: Path, aws: AwsEmulator):
    """During a deployment, processes of both versions run side by side, and either may be rolled back."""
    settings = {**SECRET, "SQS_QUEUE_NAME": aws.make_queue()}
    old = environment_for(tmp_path / "old", aws, **settings)
    new = environment_for(tmp_path / "new", aws, **settings)
    with started(old, command=("main.py",), root=previous) as running_old, started(new) as running_new:
        first, leaving_old = User(running_old, "first@example.com"), User(running_old, "leaving-old@example.com")
        second, leaving_new = User(running_new, "second@example.com"), User(running_new, "leaving-new@example.com")
        use(running_old, first, 0)
        use(running_new, second, 0)
        for running, user in ((running_old, leaving_old), (running_new, leaving_new)):
            user.upload(running, 5)
            with user.sign_in(running) as client:
                assert client.delete("/auth/me").status_code == 202
        # Each worker processes the jobs that the other version added.
        with worker(new, name="new"):
            wait_until_deleted(leaving_old, running_new)
            wait_until_deleted(leaving_new, running_old)
            wait_for_jobs(running_new, first, second)
        with worker(old, name="old", command=OLD_WORKER, root=previous):
            use(running_new, second, 20)
            another = User(running_new, "another@example.com")
            with another.sign_in(running_new) as client:
                assert client.delete("/auth/me").status_code == 202
            wait_until_deleted(another, running_old)
            wait_for_jobs(running_old, second)
        for running in (running_old, running_new):
            first.check(running)
            second.check(running)
            repeat(running, first, 0)
            repeat(running, second, 20)
            assert {job["status"] for job in second.jobs(running).values()} == {"completed"}


def refusal(environment: dict[str, str], root: Path) -> str:
    command = [sys.executable, "main.py"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 3
    return done.stderr


def wait_for_jobs(running: Running, *users: User) -> None:
    for user in users:
        with user.sign_in(running) as client:
            wait_until_done(running, client.headers)
