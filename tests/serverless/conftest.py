"""The service as Lambda functions on MiniStack, which enforces the permissions of their roles."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from botocore.config import Config
from botocore.session import Session
from PIL import Image

from infra.with_aws_emulator import ministack
from tests.acceptance.conftest import Deployment
from tests.aws_emulators import AwsEmulator, free_port

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"
SECONDS = 600
"""How long anything may take that is waited for. The machine may be busy, and messages return after a minute."""


@dataclass
class Stack:
    url: str
    """Of the emulator."""
    outputs: dict[str, str]

    def client(self, service: str) -> Any:
        config = Config(read_timeout=SECONDS, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        return Session().create_client(service, region_name=REGION, endpoint_url=self.url, config=config)

    @property
    def service(self) -> Deployment:
        return Deployment(url=self.url, headers={"Host": urlsplit(self.outputs["FunctionUrl"]).netloc})

    @property
    def aws(self) -> AwsEmulator:
        queue = self.outputs["QueueUrl"].rpartition("/")[2]
        return AwsEmulator("ministack", self.url, REGION, self.outputs["BucketName"], self.outputs["TableName"], queue)

    @contextmanager
    def person(self) -> Iterator[httpx.Client]:
        """Yield a client that sends requests to the function URL with the token of a new account."""
        headers = self.service.register()
        with httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=SECONDS) as client:
            yield client

    def invoke_worker(self, event: dict[str, Any]) -> Any:
        response = self.client("lambda").invoke(
            FunctionName=self.outputs["WorkerFunction"], Payload=json.dumps(event).encode()
        )
        payload = json.loads(response["Payload"].read())
        assert "FunctionError" not in response, payload
        return payload


@contextmanager
def deployed(folder: Path, **variables: str) -> Iterator[Stack]:
    with ministack(free_port(), keep=folder, check_signatures=True) as url:
        yield Stack(url, deploy(url, **variables))


def deploy(url: str, **variables: str) -> dict[str, str]:
    """Run the program that deploys the functions, and return what it prints."""
    environment = {
        "PATH": os.environ["PATH"],
        "LOCALSTACK_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "REGISTRATION": "open",
        # A test that makes the worker fail waits that long.
        "QUEUE_VISIBILITY_TIMEOUT": "60",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "infra" / "deploy.py"), "serverless"],
        env=environment,
        cwd=folder_without_settings(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


@contextmanager
def changed(stack: Stack, function: str, **changes: str) -> Iterator[None]:
    """Change variables of a function, which then starts new environments."""
    functions, name = stack.client("lambda"), stack.outputs[function]
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, **changes}})
    yield
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


def folder_without_settings() -> Path:
    """Return a folder that has no `.env`."""
    return ROOT / "infra"


def eventually(read: Callable[[], Any], *, seconds: float = SECONDS) -> Any:
    """Return the first true value that `read` returns."""
    deadline = time.monotonic() + seconds
    while not (value := read()):
        assert time.monotonic() < deadline, "the time limit has passed"
        time.sleep(0.5)
    return value


def noise(side: int) -> bytes:
    """Return a JPEG of `side` by `side` pixels, with about four bytes for each pixel."""
    encoded = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(encoded, "JPEG", quality=100, subsampling=0)
    return encoded.getvalue()


@pytest.fixture(scope="package")
def catalog_url() -> Iterator[str]:
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "tests.fake_catalog", str(port)], cwd=ROOT) as process:
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, catalog_url: str) -> Iterator[Stack]:
    with deployed(tmp_path_factory.mktemp("emulator"), PRODUCT_CATALOG_URL=catalog_url) as running:
        yield running
