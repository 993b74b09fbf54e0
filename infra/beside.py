"""Runs a command beside a stand-in for AWS that lives as long: `python -m infra.beside ministack COMMAND`.

The command finds the stand-in in LOCALSTACK_ENDPOINT_URL, and as the tests want it in STAND_IN and STAND_IN_URL.
"""

# ruff: noqa: S603 - every command is one of this file's own, or the one that it is there to run

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.deploy import DeployError, is_ready, wait_until_ready

ROOT = Path(__file__).parents[1]
MINISTACK = ROOT / ".venv-ministack" / "bin" / "ministack"
LOCALSTACK_WITHOUT_DOCKER = ROOT.parent / "shared" / "parts" / "localstack.sh"
COMPOSE = ("docker", "compose", "--project-name", "image-upload-tests")

_START_SECONDS = 300
_STOP_SECONDS = 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, help="where it listens on 127.0.0.1; a free port unless given")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where MiniStack keeps its state between two runs")
    parser.add_argument("--check-signatures", action="store_true", help="MiniStack refuses what AWS would not accept")
    parser.add_argument("stand_in", choices=["ministack", "localstack"])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    port = arguments.port or _free_port()
    if arguments.stand_in == "ministack":
        started = ministack(port, keep=arguments.keep, check_signatures=arguments.check_signatures)
    else:
        started = localstack(port, url=os.environ.get("LOCALSTACK_URL"))
    # As an exception it passes through whatever has started something and will stop it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with started as url:
            return run(arguments.command, name=arguments.stand_in, url=url)
    except DeployError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def run(command: list[str], *, name: str, url: str) -> int:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    places = {"LOCALSTACK_ENDPOINT_URL": url, "STAND_IN": name, "STAND_IN_URL": url}
    process = subprocess.Popen(command, env={**os.environ, **keys, **places})
    # A terminal sends Ctrl+C to the command as well. The stand-in stops once the command has ended.
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
        "SERVICES": "s3,dynamodb,sqs,cloudformation,iam,sts",
        "AUTH": str(check_signatures).lower(),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    if keep:
        folder = keep.resolve()
        environment |= {"PERSIST_STATE": "1", "STATE_DIR": f"{folder}/state"}
        environment |= {"S3_PERSIST": "1", "S3_DATA_DIR": f"{folder}/s3"}
    with _server([str(MINISTACK)], environment, port=port) as url:
        yield url


@contextmanager
def localstack(port: int, *, url: str | None) -> Iterator[str]:
    """The one at `url`, or one of our own: from a script where there is one, otherwise in Docker."""
    if url:
        wait_until_ready(url, seconds=_START_SECONDS)
        yield url
    elif LOCALSTACK_WITHOUT_DOCKER.exists():
        with _server(
            [str(LOCALSTACK_WITHOUT_DOCKER), str(port)], {**os.environ, "LS_LOG": "error"}, port=port
        ) as started:
            yield started
    else:
        environment = {**os.environ, "LOCALSTACK_PORT": str(port)}
        try:
            subprocess.run([*COMPOSE, "up", "--detach", "localstack"], cwd=ROOT, env=environment, check=True)
            wait_until_ready(f"http://127.0.0.1:{port}", seconds=_START_SECONDS)
            yield f"http://127.0.0.1:{port}"
        finally:
            subprocess.run([*COMPOSE, "down", "--volumes"], cwd=ROOT, env=environment, check=False)


@contextmanager
def _server(command: list[str], environment: dict[str, str], *, port: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise DeployError(f"Something listens on port {port} already. Stop it first.")
    # In a session of its own it gets no Ctrl+C: what the command still has to write at its end finds it alive.
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not is_ready(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise DeployError(f"{Path(command[0]).name} did not start on port {port}.")
            time.sleep(0.1)
        yield url
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    # Asked, not killed: MiniStack writes its state when it is told to stop.
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
