"""The service as a separate process that tests use only over HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from tests.aws_emulators import AwsEmulator, free_port, wait_for
from tests.corpus import MAX_PIXELS

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "a long enough passphrase"


@dataclass(kw_only=True)
class Deployment:
    """The service as its clients see it, wherever it runs."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    """Of each request. An AWS emulator finds out by the Host header which function a request is for."""

    def register(self) -> dict[str, str]:
        """Create an account and return the headers of its requests."""
        body = {"email": f"person-{uuid4().hex}@example.com", "password": PASSWORD}
        response = httpx.post(f"{self.url}/api/v1/auth/register", json=body, headers=self.headers, timeout=300)
        assert response.status_code == 201, response.text
        return {**self.headers, "Authorization": f"Bearer {response.json()['access_token']}"}

    def is_ready(self) -> bool:
        return httpx.get(f"{self.url}/health/ready", headers=self.headers, timeout=300).is_success


@dataclass(kw_only=True)
class Running(Deployment):
    """The service as a process of this machine."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    log: Path

    def memory(self) -> int:
        """Return the resident bytes of the process and all its descendants."""
        return sum(_resident(pid) for pid in [self.process.pid, *descendants(self.process.pid)])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(300)


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] + [g for child in children for g in descendants(int(child))]


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def environment_for(folder: Path, aws: AwsEmulator | None = None, **more: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    # One renderer, because each is a process that has to start.
    environment = {**inherited, "DATA_DIR": str(folder), "PORT": str(free_port()), "RENDER_PROCESSES": "1"}
    if aws:
        environment |= {
            "BACKEND": "aws",
            "ENVIRONMENT": "development",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": aws.region,
            "S3_BUCKET": aws.bucket,
            "DYNAMODB_TABLE_NAME": aws.table,
            "SQS_QUEUE_NAME": aws.queue,
            "LOCALSTACK_ENDPOINT_URL": aws.url,
        }
    return {**environment, **more}


PATIENT = ("-m", "tests.patience")


def patient(environment: Mapping[str, str], *command: str) -> tuple[str, ...]:
    """Return the command, with longer time limits if it uses an AWS emulator."""
    return (*PATIENT, *command) if environment.get("BACKEND") == "aws" else command


@contextmanager
def started(
    environment: dict[str, str], *, command: tuple[str, ...] | None = None, root: Path = ROOT
) -> Iterator[Running]:
    """Start the service, with longer time limits unless `command` is given; wait until it is ready."""
    command = command or patient(environment, "main.py")
    log = Path(environment["DATA_DIR"]).with_suffix(".log")
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, *command], cwd=root, env=environment, stderr=output)
    url = f"http://127.0.0.1:{environment['PORT']}"
    try:
        wait_for(f"{url}/health/ready", process=process)
        yield Running(url=url, process=process, environment=environment, log=log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def aws(default_aws: AwsEmulator) -> AwsEmulator:
    return default_aws.deployed_for("acceptance")


@pytest.fixture(scope="session", params=["embedded", pytest.param("aws", marks=pytest.mark.slow)])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service") / "data"
    aws: AwsEmulator | None = request.getfixturevalue("aws") if request.param == "aws" else None
    # The corpus specifies the responses for this limit.
    with started(environment_for(folder, aws, MAX_PIXELS=str(MAX_PIXELS))) as running:
        yield running


def run_command(environment: Mapping[str, str], *arguments: str) -> Result:
    """Run `python -m app` with the arguments, but in this process, because starting Python takes a second of CPU.

    The command reads only the given environment. `output` has what it writes, and the message with which it exits.
    """
    with patch.dict(os.environ, environment, clear=True):
        result = CliRunner().invoke(cli, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def upload(client: httpx.Client, headers: dict[str, str], data: bytes, **form: Any) -> httpx.Response:
    return client.post("/api/v1/images/upload", files={"file": ("photo.jpg", data)}, headers=headers, data=form)
