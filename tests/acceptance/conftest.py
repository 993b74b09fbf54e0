"""The service as people start it: a process of its own, spoken to over HTTP alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.aws_emulators import AwsEmulator, aws_emulator, free_port, wait_for

ROOT = Path(__file__).parent.parent.parent
CORPUS = ROOT.parent / "shared" / "corpus"
PASSWORD = "a long enough passphrase"


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    url: str
    environment: dict[str, str]
    log: Path

    def register(self) -> dict[str, str]:
        """Make an account and return the header that speaks for it."""
        body = {"email": f"person-{uuid4().hex}@example.com", "password": PASSWORD}
        response = httpx.post(f"{self.url}/api/v1/auth/register", json=body)
        assert response.status_code == 201, response.text
        return {"Authorization": f"Bearer {response.json()['access_token']}"}

    def memory(self) -> int:
        """Resident bytes of the process and all below it."""
        return sum(_resident(pid) for pid in [self.process.pid, *descendants(self.process.pid)])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] + [g for child in children for g in descendants(int(child))]


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def environment_for(folder: Path, aws: AwsEmulator | None = None, **more: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    environment = {**inherited, "DATA_DIR": str(folder), "PORT": str(free_port())}
    if aws:
        environment |= {
            "BACKEND": "aws",
            "ENVIRONMENT": "development",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": aws.region,
            "S3_BUCKET": aws.bucket,
            "DYNAMODB_TABLE_NAME": aws.table,
            "LOCALSTACK_ENDPOINT_URL": aws.url,
        }
    return {**environment, **more}


@contextmanager
def started(
    environment: dict[str, str], *, command: tuple[str, ...] = ("main.py",), root: Path = ROOT
) -> Iterator[Running]:
    log = Path(environment["DATA_DIR"]).with_suffix(".log")
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, *command], cwd=root, env=environment, stderr=output)
    url = f"http://127.0.0.1:{environment['PORT']}"
    try:
        wait_for(f"{url}/health/ready", seconds=150)
        yield Running(process, url, environment, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def aws() -> Iterator[AwsEmulator]:
    with aws_emulator() as opened:
        yield opened


@pytest.fixture(scope="session", params=["embedded", "aws"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service") / "data"
    aws: AwsEmulator | None = request.getfixturevalue("aws") if request.param == "aws" else None
    # The corpus specifies the responses for this limit.
    with started(environment_for(folder, aws, MAX_PIXELS="50000000")) as running:
        yield running


def upload(client: httpx.Client, headers: dict[str, str], data: bytes, **form: Any) -> httpx.Response:
    return client.post("/api/v1/images/upload", files={"file": ("photo.jpg", data)}, headers=headers, data=form)
