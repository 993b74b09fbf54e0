"""Starts an AWS emulator, runs a command against it, then stops it: `python -m infra.with_aws_emulator NAME COMMAND`.

The command gets the emulator's URL as LOCALSTACK_ENDPOINT_URL, and its name and URL as AWS_EMULATOR and
AWS_EMULATOR_URL, which the tests read.

MiniStack is installed in .venv-ministack. LocalStack runs in Docker, unless one of these variables is set:

- LOCALSTACK_URL: the URL of a LocalStack that is already running. It is used and not stopped.
- LOCALSTACK_COMMAND: a command that starts LocalStack in the foreground, on the port given as its last argument.
"""

# ruff: noqa: S603 - the commands come from this file and from the person who runs it

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from infra.deploy import DeployError, is_ready, wait_until_ready

ROOT = Path(__file__).parents[1]
MINISTACK = ROOT / ".venv-ministack" / "bin" / "ministack"
COMPOSE = ("docker", "compose", "--project-name", "image-upload-tests")

SERVICES = "s3,dynamodb,sqs,cloudformation,iam,sts,lambda,events,scheduler,logs,monitoring,secretsmanager"

_START_SECONDS = 300
_STOP_SECONDS = 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, help="port on 127.0.0.1 (default: a free port)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="folder in which MiniStack keeps its state")
    parser.add_argument("--check-signatures", action="store_true", help="make MiniStack check signatures as AWS does")
    parser.add_argument("emulator", choices=["ministack", "localstack"])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("a command is required")
    # As an exception, the signal passes through the context managers, which stop the processes that they started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with open_emulator(arguments) as url:
            return run(arguments.command, emulator=arguments.emulator, url=url)
    except DeployError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def open_emulator(arguments: argparse.Namespace) -> AbstractContextManager[str]:
    """Start the emulator that the arguments select. The context's value is its URL."""
    port = arguments.port or _free_port()
    if arguments.emulator == "ministack":
        return ministack(port, keep=arguments.keep, check_signatures=arguments.check_signatures)
    if url := os.environ.get("LOCALSTACK_URL"):
        return running_localstack(url)
    if command := os.environ.get("LOCALSTACK_COMMAND"):
        return _started([*shlex.split(command), str(port)], dict(os.environ), port=port)
    return localstack_in_docker(port)


def run(command: list[str], *, emulator: str, url: str) -> int:
    """Run the command and return its exit status."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    urls = {"LOCALSTACK_ENDPOINT_URL": url, "AWS_EMULATOR": emulator, "AWS_EMULATOR_URL": url}
    process = subprocess.Popen(command, env={**os.environ, **keys, **urls})
    # A terminal sends Ctrl+C to the command as well. The emulator stops after the command has ended.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()


@contextmanager
def ministack(port: int, *, keep: Path | None, check_signatures: bool) -> Iterator[str]:
    environment = {
        **os.environ,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "ERROR",
        "SERVICES": SERVICES,
        "AUTH": str(check_signatures).lower(),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    if keep:
        folder = keep.resolve()
        environment |= {"PERSIST_STATE": "1", "STATE_DIR": f"{folder}/state"}
        environment |= {"S3_PERSIST": "1", "S3_DATA_DIR": f"{folder}/s3"}
    with _started([str(MINISTACK)], environment, port=port) as url:
        yield url


@contextmanager
def running_localstack(url: str) -> Iterator[str]:
    wait_until_ready(url, seconds=_START_SECONDS)
    yield url


@contextmanager
def localstack_in_docker(port: int) -> Iterator[str]:
    # docker-compose.yml also deploys the template, in one region. Its bucket must not have the name that the tests use.
    environment = {**os.environ, "LOCALSTACK_PORT": str(port), "S3_BUCKET": "deployed-by-compose"}
    try:
        subprocess.run([*COMPOSE, "up", "--detach", "localstack"], cwd=ROOT, env=environment, check=True)
        wait_until_ready(f"http://127.0.0.1:{port}", seconds=_START_SECONDS)
        yield f"http://127.0.0.1:{port}"
    finally:
        subprocess.run([*COMPOSE, "down", "--volumes"], cwd=ROOT, env=environment, check=False)


@contextmanager
def _started(command: list[str], environment: dict[str, str], *, port: int) -> Iterator[str]:
    """Start an emulator that listens on the port, and stop it at the end of the context. Raises DeployError."""
    url = f"http://127.0.0.1:{port}"
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise DeployError(f"Port {port} is already in use. Stop the process that listens on it, or use --port.")
    try:
        # In its own session it does not receive Ctrl+C, so that the command can still write at its end.
        process = subprocess.Popen(command, env=environment, start_new_session=True)
    except OSError as error:
        raise DeployError(f"{command[0]} cannot be started: {error.strerror}.") from error
    try:
        _wait_until_started(process, url)
        yield url
    finally:
        _stop(process)


def _wait_until_started(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not is_ready(url):
        if process.poll() is not None:
            raise DeployError(f"The emulator ended with status {process.returncode} before it listened at {url}.")
        if time.monotonic() > deadline:
            raise DeployError(f"The emulator did not listen at {url} within {_START_SECONDS} s.")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    # MiniStack writes its state when it receives SIGTERM.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
