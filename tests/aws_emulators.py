"""The AWS emulators that the tests run against: moto's server unless the environment names another.

`AWS_EMULATOR=ministack AWS_EMULATOR_URL=http://127.0.0.1:4566 pytest` runs the same tests against a server
that is already there. Each gets the project's own template deployed.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import httpx
import pytest
from botocore.session import Session

from app.settings_fields import AwsService, AwsServiceName
from infra.deploy import deploy

ROOT = Path(__file__).parents[1]
REGION = "eu-west-1"
os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")


def skip_where_transactions_are_slow(aws: AwsEmulator) -> None:
    """Skip a test with hundreds of concurrent transactions if the emulator executes one after another."""
    if aws.name == "moto":
        pytest.skip("moto executes one transaction after another")


@dataclass(frozen=True)
class AwsEmulator:
    name: str
    """moto, ministack or localstack."""
    url: str
    region: str
    bucket: str
    table: str
    queue: str
    access_key: str = "test"
    secret_key: str = "test"
    session_token: str | None = None

    def service(self, name: AwsServiceName, *, url: str | None = None) -> AwsService:
        """Return the settings of a client of the emulator, or of a server that listens at `url`."""
        return AwsService(
            name=name,
            region=self.region,
            endpoint_url=url or self.url,
            access_key=self.access_key,
            secret_key=self.secret_key,
            session_token=self.session_token,
        )

    def assuming(self, role_arn: str) -> AwsEmulator:
        """Return the emulator with credentials of the role, which MiniStack allows no more than the role's policies."""
        sts: Any = Session().create_client("sts", region_name=self.region, endpoint_url=self.url)
        keys = sts.assume_role(RoleArn=role_arn, RoleSessionName="tests")["Credentials"]
        return replace(
            self,
            access_key=keys["AccessKeyId"],
            secret_key=keys["SecretAccessKey"],
            session_token=keys["SessionToken"],
        )

    def deployed_for(self, tests: str) -> AwsEmulator:
        """Deploy a bucket, a table and a queue that only `tests` use, in addition to those with the default names."""
        names = {"BucketName": f"{tests}-tests", "TableName": f"{tests}-tests", "QueueName": f"{tests}-tests"}
        return _deployed(self.name, self.url, stack=f"{tests}-tests", parameters=names)

    def incomplete_uploads(self, prefix: str) -> int:
        """Count the multipart uploads that are incomplete, which the service itself may not list."""
        s3: Any = Session().create_client("s3", region_name=self.region, endpoint_url=self.url)
        return len(s3.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix).get("Uploads", []))

    def make_queue(self) -> str:
        """Create a queue in addition to the stack's own, and return its name."""
        name = f"queue-{uuid4().hex}"
        sqs: Any = Session().create_client("sqs", region_name=self.region, endpoint_url=self.url)
        sqs.create_queue(QueueName=name)
        return name


@contextmanager
def aws_emulator() -> Iterator[AwsEmulator]:
    name = os.environ.get("AWS_EMULATOR", "moto")
    if name != "moto":
        yield _deployed(name, os.environ["AWS_EMULATOR_URL"])
        return
    with moto_server() as url:
        yield _deployed(name, url)


def _deployed(
    name: str, url: str, *, stack: str = "image-upload-service", parameters: Mapping[str, str] = MappingProxyType({})
) -> AwsEmulator:
    outputs = deploy(endpoint_url=url, region=REGION, stack=stack, parameters=dict(parameters))
    return AwsEmulator(
        name, url, REGION, outputs["BucketName"], outputs["TableName"], outputs["QueueUrl"].rsplit("/", 1)[-1]
    )


@contextmanager
def moto_server() -> Iterator[str]:
    """Start moto's server, which chooses a free port and prints it; yield its URL."""
    command = [sys.executable, "-m", "tests.moto_server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()  # it stores nothing, and takes seconds to stop after SIGTERM


def free_port() -> int:
    """Return a port below the range from which the system takes the ports of outgoing connections.

    Otherwise such a connection could occupy the port before the server binds it.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("0.0.0.0", port))  # noqa: S104 - some servers bind all addresses
            return port


def wait_for(url: str, *, process: subprocess.Popen[bytes] | None = None, seconds: float = 300) -> None:
    """Wait until the server at `url` responds. Raises RuntimeError if its process ends before."""
    address, deadline = httpx.URL(url), time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process and process.poll() is not None:
            raise RuntimeError(f"The server of {url} has ended with status {process.returncode}.")
        try:
            # Trying to connect costs much less CPU than trying a request.
            socket.create_connection((address.host, address.port), timeout=30).close()
            if httpx.get(address, timeout=30).status_code < 500:
                return
        except (OSError, httpx.TransportError):
            pass
        time.sleep(0.05)
    raise TimeoutError(url)
