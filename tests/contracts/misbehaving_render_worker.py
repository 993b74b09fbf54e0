"""A render worker whose decoder does what the file tells it to: what a flaw in a real one may come to."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from app.adapters import render_worker
from app.adapters.render_protocol import WorkerConfig, write_error, write_rendering
from app.core.errors import AppError, FormatUnsupported
from app.usecases.rendering import render


def raise_signal(name: str) -> None:
    os.kill(os.getpid(), signal.Signals[name])


def fork(marker: str) -> None:
    if os.fork() == 0:
        time.sleep(2)
        Path(marker).unlink()


def kill_template(_: str) -> None:
    os.kill(os.getppid(), signal.SIGKILL)


def kill_template_once(marker: str) -> None:
    if Path(marker).exists():
        Path(marker).unlink()
        kill_template(marker)


def list_environment(word: str) -> bytes:
    return write_error(FormatUnsupported(" ".join(name for name in os.environ if word in name)))


def open_file(path: str) -> bytes:
    try:
        Path(path).open("rb").close()
    except OSError as error:
        return write_error(FormatUnsupported(str(error.strerror)))
    return write_error(FormatUnsupported("opened"))


def write_into_files(word: str) -> bytes:
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.pwrite(descriptor, word.encode(), 0)
    return write_error(FormatUnsupported("tried"))


MISDEEDS: dict[str, Callable[[str], object]] = {
    "bug": lambda _: 1 // 0,
    "environment": list_environment,
    "flood": lambda _: bytes(100 << 20),
    "fork": fork,
    "kill-template": kill_template,
    "kill-template-once": kill_template_once,
    "lie": lambda _: b"\x00\x00\x00\x02{}",
    "open": open_file,
    "raise": raise_signal,
    "write": write_into_files,
    "sleep": lambda seconds: time.sleep(float(seconds)),
}


def answer(file: int, config: WorkerConfig) -> bytes:
    data = os.pread(file, 1 << 20, 0)
    name, _, argument = data[:200].decode("latin-1").partition(" ")
    told = MISDEEDS[name](argument) if name in MISDEEDS else None
    try:
        return told if isinstance(told, bytes) else write_rendering(render(io.BytesIO(data), config.options))
    except AppError as error:
        return write_error(error)


if __name__ == "__main__":
    render_worker._answer = answer
    render_worker.main(int(sys.argv[1]), WorkerConfig.from_json(sys.argv[2]))
