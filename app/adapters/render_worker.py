"""The process that the render pool starts: a template with every decoder loaded, which forks a child for each image.

The template never reads a byte of an image. A child has its own memory, descriptors for its own image alone, and limits
that it cannot lift; what it takes is given back when it ends, however it ends.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

from app.adapters.render_protocol import (
    HEADER,
    MAX_ANSWER_BYTES,
    READY,
    START,
    Outcome,
    WorkerConfig,
    write_error,
    write_rendering,
)
from app.core.errors import AppError
from app.usecases.rendering import prepare, render

_READ_BYTES = 1 << 20
_OUT_OF_MEMORY = 3
_LIMIT_SIGNALS = {signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL}
_GRACE_SECONDS = 1


def main(descriptor: int, config: WorkerConfig) -> None:
    service = socket.socket(fileno=descriptor)
    prepare()
    # What is there now is there for good: a child's collector need not touch, and so copy, its pages.
    gc.collect()
    gc.freeze()
    address_space = _mapped_bytes() + config.memory_bytes
    service.sendall(READY)
    while True:
        message, files, _, _ = socket.recv_fds(service, 1, 1)
        if not message:
            return
        # A cancellation can arrive when its image has been answered already.
        if message == START:
            outcome, answer = _render_apart(files[0], service, config, address_space)
            os.close(files[0])
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                service.sendall(HEADER.pack(outcome, len(answer)) + answer)


def _render_apart(file: int, service: socket.socket, config: WorkerConfig, address_space: int) -> tuple[Outcome, bytes]:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        service.close()
        os.close(read_end)
        _child(file, write_end, config, address_space)
    os.close(write_end)
    answer = bytearray()
    try:
        ended_by = _collect(answer, read_end, service, time.monotonic() + config.wall_seconds)
    finally:
        os.close(read_end)
    if ended_by is not None:
        os.kill(child, signal.SIGKILL)
    status = _reap(child)
    # A child that was taken over may have forked; all that it started, and that stayed in its group, ends with it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return (ended_by, b"") if ended_by is not None else _judge(status, bytes(answer))


def _collect(answer: bytearray, read_end: int, service: socket.socket, deadline: float) -> Outcome | None:
    """Read the child's answer to its end; return why it has to be stopped before that, if it has."""
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([read_end, service.fileno()], [], [], left)
        if service.fileno() in readable:
            service.recv(1)  # CANCEL, or nothing: then the service is gone.
            return Outcome.CANCELLED
        if read_end in readable:
            part = os.read(read_end, _READ_BYTES)
            if not part:
                return None
            answer += part
            if len(answer) > MAX_ANSWER_BYTES:
                return Outcome.CRASHED
    return Outcome.STOPPED


def _reap(child: int) -> int:
    """Return the wait status of a child that has closed its pipe; one that lives on after that is killed."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.0001)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _judge(status: int, answer: bytes) -> tuple[Outcome, bytes]:
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return Outcome.ANSWERED, answer
    if code == _OUT_OF_MEMORY or -code in _LIMIT_SIGNALS:
        return Outcome.STOPPED, b""
    return (Outcome.CRASHED if code < 0 else Outcome.FAILED), b""


def _child(file: int, write_end: int, config: WorkerConfig, address_space: int) -> None:
    code = 1
    try:
        os.setpgid(0, 0)
        _limit(config, address_space)
        _write(write_end, _answer(file, config))
        code = 0
    except MemoryError:
        code = _OUT_OF_MEMORY
    except BaseException:  # noqa: BLE001 - nothing may get past: this process must never return to the template's loop
        traceback.print_exc()
    finally:
        os._exit(code)


def _limit(config: WorkerConfig, address_space: int) -> None:
    """Bound processor time, memory and wall clock, and let nothing be opened: no file, no socket."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (config.cpu_seconds, config.cpu_seconds))
    if sys.platform == "linux":  # macOS neither tells what is mapped nor enforces the limit.
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    # For when the template, which would stop it, is no longer there.
    signal.alarm(config.wall_seconds + _GRACE_SECONDS)


def _mapped_bytes() -> int:
    """Return the address space that this process has already; 0 where nothing tells."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0


def _answer(file: int, config: WorkerConfig) -> bytes:
    try:
        return write_rendering(render(io.BytesIO(_read(file)), config.options))
    except AppError as error:
        return write_error(error)


def _read(file: int) -> bytes:
    """Read it all by position: its offset is shared with everybody who has the file open."""
    return os.pread(file, os.fstat(file).st_size, 0)


def _write(descriptor: int, answer: bytes) -> None:
    rest = memoryview(answer)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


if __name__ == "__main__":
    main(int(sys.argv[1]), WorkerConfig.from_json(sys.argv[2]))
