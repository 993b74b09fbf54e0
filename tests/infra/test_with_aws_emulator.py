"""Tests of the launcher of AWS emulators, with small programs in place of the emulators."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from infra.with_aws_emulator import MINISTACK
from tests.aws_emulators import free_port

ROOT = Path(__file__).parents[2]
SECONDS = 600
"""The time limit of a program."""

# Serves HTTP on the port given as its last argument until it receives SIGTERM, and writes then into the file given as
# its first argument.
EMULATOR = """
import http.server, pathlib, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.end_headers()

def stop(*_):
    pathlib.Path(sys.argv[1]).write_text("stopped")
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""
# Prints the variables that the launcher sets, and the status of a request to the emulator.
COMMAND = """
import json, os, httpx
names = ("LOCALSTACK_ENDPOINT_URL", "AWS_EMULATOR", "AWS_EMULATOR_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
print(json.dumps({name: os.environ[name] for name in names}))
print(httpx.get(os.environ["AWS_EMULATOR_URL"], timeout=600).status_code)
raise SystemExit(7)
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS)]


def launch(*arguments: str, command: str = COMMAND, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.with_aws_emulator", *arguments, sys.executable, "-c", command],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LOCALSTACK_"))}
    return inherited | variables


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """The file that the emulator writes when it is stopped."""
    return tmp_path / "stopped"


@pytest.fixture
def localstack_command(tmp_path: Path, marker: Path) -> str:
    program = tmp_path / "emulator with a space.py"
    program.write_text(EMULATOR)
    return f"{sys.executable} '{program}' '{marker}'"


@contextmanager
def serve() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_localstack_command_is_started_for_the_command_and_then_stopped(localstack_command: str, marker: Path):
    port = free_port()
    done = launch("--port", str(port), "localstack", LOCALSTACK_COMMAND=localstack_command)
    assert done.returncode == 7, done.stderr
    variables, status = done.stdout.splitlines()
    url = f"http://127.0.0.1:{port}"
    assert json.loads(variables) == {
        "LOCALSTACK_ENDPOINT_URL": url,
        "AWS_EMULATOR": "localstack",
        "AWS_EMULATOR_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    assert status == "404"
    assert marker.read_text() == "stopped"
    with pytest.raises(httpx.TransportError):
        httpx.get(url)


def test_the_emulator_is_stopped_when_the_launcher_is_terminated(localstack_command: str, marker: Path):
    command = "import time; print('started', flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-m", "infra.with_aws_emulator", "localstack", sys.executable, "-c", command],
        cwd=ROOT,
        env=environment(LOCALSTACK_COMMAND=localstack_command),
        stdout=subprocess.PIPE,
        text=True,
    ) as launcher:
        assert launcher.stdout
        assert launcher.stdout.readline() == "started\n"
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(SECONDS) != 0
    assert marker.read_text() == "stopped"


def test_a_localstack_that_is_running_already_is_used(localstack_command: str, marker: Path):
    with serve() as url:
        done = launch("localstack", LOCALSTACK_URL=url, LOCALSTACK_COMMAND=localstack_command)
        assert done.returncode == 7, done.stderr
        assert json.loads(done.stdout.splitlines()[0])["AWS_EMULATOR_URL"] == url
        assert httpx.get(url, timeout=SECONDS).status_code == 404
    assert not marker.exists()


@pytest.mark.parametrize(
    "command, message",
    [
        (f"{sys.executable} -c 'raise SystemExit(3)'", "ended with status 3"),
        ("/no/such/program --port", "/no/such/program cannot be started"),
    ],
)
def test_an_emulator_that_does_not_start_is_an_error(command: str, message: str):
    done = launch("localstack", LOCALSTACK_COMMAND=command)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_in_use_is_an_error(localstack_command: str, marker: Path):
    with serve() as url:
        port = url.rpartition(":")[2]
        done = launch("--port", port, "localstack", LOCALSTACK_COMMAND=localstack_command)
    assert done.returncode == 1
    assert f"Port {port} is already in use" in done.stderr
    assert not marker.exists()


def test_a_command_is_required():
    done = subprocess.run(
        [sys.executable, "-m", "infra.with_aws_emulator", "ministack"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert "a command is required" in done.stderr


# Prints what an emulator holds, adds to it, and waits to be stopped.
KEEPER = """
import os, signal, time
from botocore.session import Session
from botocore.exceptions import ClientError

# Shells start background jobs with SIGINT ignored, and Python keeps that.
signal.signal(signal.SIGINT, signal.default_int_handler)

def client(service):
    return Session().create_client(service, region_name="us-east-1", endpoint_url=os.environ["AWS_EMULATOR_URL"])

s3, dynamodb, sqs = client("s3"), client("dynamodb"), client("sqs")
try:
    content = s3.get_object(Bucket="kept", Key="kept")["Body"].read().decode()
    items = dynamodb.scan(TableName="kept")["Count"]
    queue = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    print(content, items, attributes["Attributes"]["ApproximateNumberOfMessages"], flush=True)
except ClientError:
    print("empty", flush=True)
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="kept", Body=b"content")
    dynamodb.create_table(
        TableName="kept",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    dynamodb.put_item(TableName="kept", Item={"pk": {"S": "kept"}})
    sqs.send_message(QueueUrl=sqs.create_queue(QueueName="kept")["QueueUrl"], MessageBody="kept")
print("written", flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    pass
"""


def run_until_written(folder: Path, stop: signal.Signals) -> str:
    """Run KEEPER on MiniStack, stop it when it has written, and return what it found.

    SIGINT is sent to the whole process group, as a terminal does for Ctrl+C.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "infra.with_aws_emulator", "--keep", folder, "ministack", sys.executable, "-c", KEEPER],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as launcher:
        assert launcher.stdout
        found = launcher.stdout.readline().strip()
        assert launcher.stdout.readline() == "written\n"
        if stop is signal.SIGINT:
            os.killpg(launcher.pid, stop)
        else:
            launcher.send_signal(stop)
        launcher.wait(SECONDS)
    return found


@pytest.mark.skipif(not MINISTACK.exists(), reason="requires MiniStack: run `make test-ministack`")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_ministack_keeps_its_data_when_the_launcher_is_stopped(tmp_path: Path, stop: signal.Signals):
    assert run_until_written(tmp_path, stop) == "empty"
    assert run_until_written(tmp_path, stop) == "content 1 1"
