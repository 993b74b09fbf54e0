"""The service on LocalStack, as docker-compose.yml starts it, while its containers are stopped, killed and replaced."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from tests.compose.conftest import SECONDS, Stack, User, register, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * SECONDS)]


def check_images(user: User, *images: str) -> None:
    """Read the images' files at the URLs that clients outside of the containers get."""
    for image_id in images:
        image = user.image(image_id)
        for url in (image["original_url"], image["thumbnail_url"]):
            response = httpx.get(url, timeout=SECONDS)
            assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")


def test_an_uploaded_photo_can_be_read_from_outside(stack: Stack):
    user = register(stack.url)
    check_images(user, user.upload()["id"])


def test_a_command_runs_beside_the_service(stack: Stack):
    register(stack.url).upload()
    output = stack.compose("run", "--rm", "-T", "api", "python", "-m", "app", "reconcile")
    report = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    assert report["images"] >= 1


def restart_localstack(stack: Stack) -> None:
    stack.compose("restart", "--timeout", "20", "localstack")


def kill_localstack(stack: Stack) -> None:
    stack.compose("kill", "localstack")
    stack.up()


def crash_localstack(stack: Stack) -> None:
    before = stack.inspect("localstack", "{{.State.StartedAt}}")
    stack.compose("exec", "-T", "localstack", "python3", "-c", "import os; os.kill(1, 15)")
    wait_until(lambda: stack.inspect("localstack", "{{.State.Running}} {{.State.StartedAt}}") != [f"true {before[0]}"])


def wipe_localstack(stack: Stack) -> None:
    stack.compose("rm", "--stop", "--force", "localstack")
    stack.docker("volume", "rm", f"{stack.environment['COMPOSE_PROJECT_NAME']}_localstack")
    stack.up()


@pytest.mark.parametrize("lose_data", [restart_localstack, kill_localstack, crash_localstack, wipe_localstack])
def test_the_service_continues_after_localstack_lost_its_data(stack: Stack, lose_data: Callable[[Stack], None]):
    register(stack.url).upload()
    lose_data(stack)
    wait_until(stack.is_ready)

    user = register(stack.url)
    images = [user.upload()["id"], user.upload(asynchronously=True)["id"]]
    wait_until(lambda: user.has_thumbnails(images[1]))
    # At the start, the service checks that the table and the bucket belong together.
    stack.compose("restart", "api", "worker")
    stack.up()
    check_images(user, *images)
    assert stack.inspect("api", "{{.RestartCount}}") == stack.inspect("worker", "{{.RestartCount}}") == ["0"]


def test_three_workers_share_the_jobs(stack: Stack):
    stack.up("--scale", "worker=3")
    try:
        assert len(stack.containers("worker")) == 3
        user = register(stack.url)
        with ThreadPoolExecutor(4) as threads:
            uploads = [threads.submit(user.upload, asynchronously=True, seed=seed) for seed in range(30)]
        images = [upload.result()["id"] for upload in uploads]
        wait_until(lambda: all(map(user.has_thumbnails, images)))
        check_images(user, *images)
    finally:
        stack.up("--scale", "worker=1")


def test_health_checks_write_no_logs(stack: Stack):
    stack.up()
    before = stack.compose("logs", "--no-color")
    checks = {service: stack.inspect(service, HEALTH_CHECKS)[0] for service in ("localstack", "api", "worker")}
    for service, check in checks.items():
        for _ in range(2):
            wait_until(lambda service=service, check=check: stack.inspect(service, HEALTH_CHECKS)[0] != check)
    after = stack.compose("logs", "--no-color")
    # On a busy machine, there may be other lines: the worker warns if LocalStack responds too late.
    new = set(after.splitlines()) - set(before.splitlines())
    assert [line for line in new if any(path in line for path in ("/health/", "/metrics", "/_localstack/"))] == []


HEALTH_CHECKS = "{{range .State.Health.Log}}{{.Start}} {{end}}"


def runs_version(stack: Stack, service: str, version: str) -> bool:
    program = "import app; print(app.__version__)"
    with suppress(AssertionError):  # while the container is being replaced
        return stack.compose("exec", "-T", service, "python", "-c", program).strip() == version
    return False


@pytest.mark.parametrize("service", ["api", "worker"])
def test_changed_code_is_used_while_compose_watches(stack: Stack, service: str):
    package = stack.folder / "app/__init__.py"
    version = f"0.0.0+{service}"
    with subprocess.Popen(
        ["docker", "compose", "watch", "--no-up", service],  # noqa: S607
        cwd=stack.folder,
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as watch:
        try:
            assert watch.stdout
            assert any("watch enabled" in line.lower() for line in watch.stdout)
            package.write_text(f'"""The image upload service."""\n\n__version__ = "{version}"\n')
            wait_until(lambda: runs_version(stack, service, version))
        finally:
            watch.terminate()
    stack.up()
