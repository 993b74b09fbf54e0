"""Starts a copy of docker-compose.yml and of the files that it needs, with an image and volumes of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.aws_emulators import free_port
from tests.pictures import jpeg

ROOT = Path(__file__).parents[2]
FILES = (".dockerignore", "Dockerfile", "docker-compose.yml", "app", "infra", "main.py", "requirements.txt")
IMAGE = f"image-upload-service-tests:{uuid4().hex[:8]}"
SERVICES = ("localstack", "api", "worker")
HEALTH = "{{.State.Health.Status}}"
SECONDS = 900
"""The time limit of a command, and of the wait for a condition."""
PASSWORD = "correct horse battery"

OVERRIDE = f"""
services:
  api: {{ image: {IMAGE} }}
  worker: {{ image: {IMAGE} }}
"""


def send(method: str, url: str, **options: Any) -> httpx.Response:
    """Send a request until its response is not 503, which means that the store or the table was too slow."""
    deadline = time.monotonic() + SECONDS
    while True:
        response = httpx.request(method, url, timeout=SECONDS, **options)
        if response.status_code != 503 or time.monotonic() > deadline:
            return response
        time.sleep(1)


@dataclass(frozen=True)
class User:
    api: str
    headers: dict[str, str]

    def upload(self, *, asynchronously: bool = False, seed: int = 0) -> dict[str, Any]:
        headers = {**self.headers, "Idempotency-Key": uuid4().hex} | (
            {"Prefer": "respond-async"} if asynchronously else {}
        )
        files = {"file": ("photo.jpg", jpeg(320, 240, seed=seed), "image/jpeg")}
        response = send("POST", f"{self.api}/images/upload", headers=headers, files=files)
        assert response.status_code == (202 if asynchronously else 201), response.text
        image: dict[str, Any] = response.json()
        return image

    def image(self, image_id: str) -> dict[str, Any]:
        response = send("GET", f"{self.api}/images/{image_id}", headers=self.headers)
        assert response.status_code == 200, response.text
        image: dict[str, Any] = response.json()
        return image

    def has_thumbnails(self, image_id: str) -> bool:
        return {thumbnail["status"] for thumbnail in self.image(image_id)["thumbnails"]} == {"ready"}


@dataclass(frozen=True)
class Stack:
    folder: Path
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.environment['PORT']}"

    def compose(self, *arguments: str) -> str:
        """Run `docker compose` and return its output. It must succeed."""
        return self._run("docker", "compose", *arguments)

    def docker(self, *arguments: str) -> str:
        return self._run("docker", *arguments)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, service: str, template: str) -> list[str]:
        return [
            self.docker("inspect", "--format", template, container).strip() for container in self.containers(service)
        ]

    def up(self, *options: str) -> None:
        """Start what is not running, and wait until all containers are healthy, however long they were unhealthy."""
        self.compose("up", "--detach", *options)
        wait_until(self.is_healthy)

    def is_healthy(self) -> bool:
        return {status for service in SERVICES for status in self.inspect(service, HEALTH)} == {"healthy"}

    def is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/ready", timeout=30).status_code == 200
        return False


def register(url: str) -> User:
    """Create a user of the service at `url`, and sign in."""
    api = f"{url}/api/v1"
    email = f"{uuid4().hex}@example.com"
    response = send("POST", f"{api}/auth/register", json={"email": email, "password": PASSWORD})
    assert response.status_code in (201, 409), response.text  # 409 follows a 503 to a registration that took effect
    token = send("POST", f"{api}/auth/token", data={"username": email, "password": PASSWORD}).json()["access_token"]
    return User(api, {"Authorization": f"Bearer {token}"})


def wait_until(condition: Any, *, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition is still not met"
        time.sleep(0.5)


def has_docker() -> bool:
    with suppress(OSError):
        for command in ("version", "compose version"):
            if subprocess.run(["docker", *command.split()], capture_output=True, check=False).returncode:  # noqa: S607
                return False
        return True
    return False


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if not has_docker():
        pytest.skip("requires a running Docker engine and Docker Compose 2.24 or newer")
    folder = tmp_path_factory.mktemp("project")
    for name in FILES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    (folder / "override.yml").write_text(OVERRIDE)
    inherited = {
        name: os.environ[name] for name in os.environ if name in ("PATH", "HOME") or name.startswith("DOCKER_")
    }
    stack = Stack(
        folder,
        {
            **inherited,
            "COMPOSE_PROJECT_NAME": f"compose-tests-{uuid4().hex[:8]}",
            "COMPOSE_FILE": "docker-compose.yml:override.yml",
            "PORT": str(free_port()),
            "LOCALSTACK_PORT": str(free_port()),
        },
    )
    try:
        stack.compose("up", "--build", "--detach", "--wait")
        yield stack
    finally:
        print(stack.compose("logs", "--no-color"))  # noqa: T201 - pytest shows it if a test failed
        stack.compose("down", "--volumes", "--timeout", "5")
        stack.docker("image", "rm", IMAGE)
