"""The image alone, with the embedded backend, as docs/operations.md starts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx
import pytest

from tests.aws_emulators import free_port
from tests.compose.conftest import HEALTH, IMAGE, SECONDS, Stack, User, register, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * SECONDS)]

PUBLIC_URL = "https://photos.example.com"


@contextmanager
def container(stack: Stack, volume: str, *options: str) -> Iterator[tuple[str, str]]:
    """Run the image with the volume. The value is the container's name, and the URL at which it is healthy."""
    name, port = f"image-tests-{uuid4().hex[:8]}", free_port()
    published = f"127.0.0.1:{port}:8000"
    stack.docker("run", "-d", "--name", name, "-v", f"{volume}:/data", "-p", published, *options, IMAGE)
    try:
        wait_until(lambda: stack.docker("inspect", "--format", HEALTH, name).strip() == "healthy")
        yield name, f"http://localhost:{port}"
    finally:
        stack.docker("rm", "--force", name)


@pytest.fixture
def volume(stack: Stack) -> Iterator[str]:
    name = f"image-tests-{uuid4().hex[:8]}"
    yield name
    stack.docker("volume", "rm", name)


def test_images_outlive_the_container_that_stored_them(stack: Stack, volume: str):
    hardened = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "-e", "REGISTRATION=open")  # noqa: S108
    with container(stack, volume, *hardened) as (name, url):
        user = register(url)
        image = user.upload()["id"]
        assert stack.docker("exec", name, "id", "-u").strip() == "10001"
        stack.docker("stop", name)
        assert stack.docker("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    with container(stack, volume, *hardened) as (_, url):
        again = User(f"{url}/api/v1", user.headers)
        assert httpx.get(again.image(image)["original_url"], timeout=SECONDS).status_code == 200


def test_an_operator_invites_users_to_the_image_behind_a_proxy(stack: Stack, volume: str):
    with container(stack, volume, "-e", f"PUBLIC_URL={PUBLIC_URL}", "-e", "FORWARDED_ALLOW_IPS=172.17.0.1") as (
        name,
        url,
    ):
        headers = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "Host": "photos.example.com"}
        anyone = {"email": "ada@example.com", "password": "correct horse battery"}
        refused = httpx.post(f"{url}/api/v1/auth/register", json=anyone, headers=headers, timeout=SECONDS)
        assert refused.status_code == 403
        link = stack.docker("exec", name, "python", "-m", "app", "users", "invite", "ada@example.com")
        assert f"{PUBLIC_URL}/" in link
