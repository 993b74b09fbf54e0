"""Render worker whose child processes run the command in the file, as a compromised or faulty decoder might."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from app.domain.errors import AppError, FormatUnsupported
from app.imaging import child as render_worker
from app.imaging.protocol import WorkerConfig, encode_error, encode_rendering
from app.imaging.rendering import render


def raise_signal(name: str) -> None:
    os.kill(os.getpid(), signal.Signals[name])


def fork(marker: str) -> None:
    if os.fork() == 0:
        time.sleep(2)
        Path(marker).unlink()


def kill_worker(_: str) -> None:
    os.kill(os.getppid(), signal.SIGKILL)


def kill_worker_once(marker: str) -> None:
    if Path(marker).exists():
        Path(marker).unlink()
        kill_worker(marker)


def list_environment(substring: str) -> bytes:
    return encode_error(FormatUnsupported(" ".join(name for name in os.environ if substring in name)))


def open_file(path: str) -> bytes:
    try:
        Path(path).open("rb").close()
    except OSError as error:
        return encode_error(FormatUnsupported(str(error.strerror)))
    return encode_error(FormatUnsupported("opened"))


def write_to_all_descriptors(text: str) -> bytes:
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.pwrite(descriptor, text.encode(), 0)
    return encode_error(FormatUnsupported("attempted"))


COMMANDS: dict[str, Callable[[str], object]] = {
    "bug": lambda _: 1 // 0,
    "environment": list_environment,
    "flood": lambda _: bytes(100 << 20),
    "fork": fork,
    "invalid-response": lambda _: b"\x00\x00\x00\x02{}",
    "kill-worker": kill_worker,
    "kill-worker-once": kill_worker_once,
    "open": open_file,
    "raise": raise_signal,
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "write": write_to_all_descriptors,
}


def respond(file: int, config: WorkerConfig) -> bytes:
    """Run the command that the file starts with and return its response, or render the file if there is none."""
    data = os.pread(file, 1 << 20, 0)
    name, _, argument = data[:200].decode("latin-1").partition(" ")
    response = COMMANDS[name](argument) if name in COMMANDS else None
    try:
        return response if isinstance(response, bytes) else encode_rendering(render(io.BytesIO(data), config.options))
    except AppError as error:
        return encode_error(error)


if __name__ == "__main__":
    render_worker._respond = respond
    render_worker.main(int(sys.argv[1]), WorkerConfig.from_json(sys.argv[2]))
