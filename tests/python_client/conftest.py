"""A running service with a product catalog, and the command `images` as a process with a configuration of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from image_upload_client import ImageClient

from tests.acceptance.conftest import PASSWORD, ROOT, Running, environment_for, started
from tests.aws_emulators import free_port, wait_for

SOURCE = ROOT / "clients/python/src"
SECONDS = 500
# Shells start processes in the background with SIGINT ignored, which their children inherit.
START = """
import signal
from image_upload_client.command.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main(prog_name="images")
"""


@pytest.fixture(scope="session")
def catalog_url() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.fake_catalog", str(port)], cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    wait_for(url, process=process)
    yield url
    process.terminate()
    process.wait(60)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, catalog_url: str) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service") / "data"
    environment = environment_for(folder, PRODUCT_CATALOG_URL=catalog_url, MAX_DIRECT_FILE_SIZE="100MB")
    with started(environment) as running:
        yield running


@dataclass
class Command:
    """`images` on the machine of one user."""

    home: Path
    email: str

    @property
    def configuration(self) -> Path:
        return self.home / ".config/images"

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", START, *map(str, arguments)],
            cwd=self.home,
            env={
                **os.environ,
                "HOME": str(self.home),
                "XDG_CONFIG_HOME": str(self.home / ".config"),
                "PYTHONPATH": str(SOURCE),
            },
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def run(self, *arguments: object, stdin: str = "", status: int = 0) -> str:
        """Return the standard output, or the standard error of a command that is expected to fail."""
        process = self.start(*arguments)
        output, errors = process.communicate(stdin, timeout=SECONDS)
        assert process.returncode == status, output + errors
        return errors if status else output

    def sign_in(self, url: str) -> None:
        self.run("login", url, "--email", self.email, stdin=f"{PASSWORD}\n")

    def images(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run("list", "--json").splitlines()]


@pytest.fixture
def signed_out(service: Running, tmp_path: Path) -> Command:
    """The command on a machine where nobody has signed in, of a user who has an account."""
    command = Command(tmp_path / "home", f"person-{uuid4().hex}@example.com")
    command.home.mkdir()
    with ImageClient(service.url) as client:
        client.register(command.email, PASSWORD)
    return command


@pytest.fixture
def command(service: Running, signed_out: Command) -> Command:
    signed_out.sign_in(service.url)
    return signed_out
