"""The render worker: a process that loads every decoder once and forks a child process for each image.

The worker itself never reads a byte of an image. A child has its own memory, a file descriptor for its own image only,
limits that it cannot raise, and the restrictions of `app.imaging.sandbox`. The operating system releases its resources
when it ends, even after a crash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
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
from collections.abc import Callable
from pathlib import Path

from app.common.process import forbid_inspection
from app.domain.errors import AppError
from app.domain.renderings import Stripping
from app.imaging.protocol import (
    MAX_RESPONSE_BYTES,
    OUTPUT_LENGTH,
    READY,
    RESPONSE_HEADER,
    START,
    START_OUTPUT,
    STRIP_MESSAGES,
    Outcome,
    Protection,
    WorkerConfig,
    decode_output,
    encode_error,
    encode_rendering,
    encode_stripped,
)
from app.imaging.rendering import prepare, render
from app.imaging.sandbox import SystemCallFilter, end_with_parent, forbid_new_privileges, restrict_files
from app.imaging.stripping import prepare_stripping, strip

_READ_BYTES = 1 << 20
_OUT_OF_MEMORY = 3
_STRIPPINGS = {message: stripping for stripping, message in STRIP_MESSAGES.items()}
_LIMIT_SIGNALS = {signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL}
_GRACE_SECONDS = 1
_MAX_FILES = 2
_TRIAL_SECONDS = 30


def main(descriptor: int, config: WorkerConfig) -> None:
    """Render each file that the pool sends over the socket `descriptor`, until the pool closes the connection."""
    connection = socket.socket(fileno=descriptor)
    prepare()
    prepare_stripping()
    address_space = _mapped_bytes() + config.memory_bytes
    lacking, call_filter = _protect()
    # Objects that exist now live as long as this process. A garbage collection in a child would write to their memory
    # pages, and the kernel would copy each of them.
    gc.collect()
    gc.freeze()
    connection.sendall(READY + bytes([lacking]))
    while True:
        message, files, _, _ = socket.recv_fds(connection, 1, _MAX_FILES)
        if not message:
            return
        # A CANCEL that arrives after its rendering has completed is ignored.
        if message in (START, START_OUTPUT, *_STRIPPINGS):
            if message in _STRIPPINGS:
                respond = functools.partial(_respond_stripped, files[0], files[1], _STRIPPINGS[message])
            else:
                task = config if message == START else _for_output(config, connection)
                respond = functools.partial(_respond, files[0], task)
            outcome, response = _run_in_child(respond, connection, config, address_space, call_filter)
            for file in files:
                os.close(file)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(RESPONSE_HEADER.pack(outcome, len(response)) + response)


def _for_output(config: WorkerConfig, connection: socket.socket) -> WorkerConfig:
    output = decode_output(connection.recv(OUTPUT_LENGTH, socket.MSG_WAITALL))
    return dataclasses.replace(config, options=config.options.for_output(output))


def _protect() -> tuple[Protection, SystemCallFilter | None]:
    """Restrict this process and its children permanently.

    Return what the kernel does not support, and the filter that each child must install.
    """
    forbid_inspection()
    lacking = Protection(0)
    try:
        forbid_new_privileges()
        restrict_files()
    except OSError:
        lacking |= Protection.LANDLOCK
    call_filter = _usable_filter()
    return (lacking, call_filter) if call_filter else (lacking | Protection.SECCOMP, None)


def _usable_filter() -> SystemCallFilter | None:
    """Return the filter if a child can install it and then decode and encode images."""
    try:
        call_filter = SystemCallFilter(os.uname().machine)
    except OSError:
        return None
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(_TRIAL_SECONDS)
            call_filter.install()
            prepare()
            code = 0
        except Exception:  # noqa: BLE001 - whatever failed, the filter cannot be used
            traceback.print_exc()
        finally:
            os._exit(code)
    return call_filter if os.waitpid(child, 0)[1] == 0 else None


def _run_in_child(
    respond: Callable[[], bytes],
    connection: socket.socket,
    config: WorkerConfig,
    address_space: int,
    call_filter: SystemCallFilter | None,
) -> tuple[Outcome, bytes]:
    read_end, write_end = os.pipe()
    worker = os.getpid()
    child = os.fork()
    if child == 0:
        connection.close()
        os.close(read_end)
        end_with_parent(worker)
        _run_child(respond, write_end, config, address_space, call_filter)
    os.close(write_end)
    response = bytearray()
    try:
        stopped = _read_response(response, read_end, connection, time.monotonic() + config.wall_seconds)
    finally:
        os.close(read_end)
    if stopped is not None:
        os.kill(child, signal.SIGKILL)
    status = _wait(child)
    # Without seccomp, a compromised child may have forked. This also ends every process in the child's process group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return (stopped, b"") if stopped is not None else _classify(status, bytes(response))


def _read_response(response: bytearray, read_end: int, connection: socket.socket, deadline: float) -> Outcome | None:
    """Append the child's complete response to `response` and return None, or return why the child must be stopped."""
    while (remaining := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([read_end, connection.fileno()], [], [], remaining)
        if connection.fileno() in readable:
            connection.recv(1)  # CANCEL, or no data if the service has ended.
            return Outcome.CANCELED
        if read_end in readable:
            part = os.read(read_end, _READ_BYTES)
            if not part:
                return None
            response += part
            if len(response) > MAX_RESPONSE_BYTES:
                return Outcome.CRASHED
    return Outcome.LIMIT_EXCEEDED


def _wait(child: int) -> int:
    """Return the wait status of a child that has closed its pipe. A child that does not exit is killed."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline:
        exited, status = os.waitpid(child, os.WNOHANG)
        if exited:
            return status
        time.sleep(0.0001)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _classify(status: int, response: bytes) -> tuple[Outcome, bytes]:
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return Outcome.COMPLETED, response
    if code == _OUT_OF_MEMORY or -code in _LIMIT_SIGNALS:
        return Outcome.LIMIT_EXCEEDED, b""
    if code == -signal.SIGSYS:
        return Outcome.BLOCKED, b""
    return (Outcome.CRASHED if code < 0 else Outcome.FAILED), b""


def _run_child(
    respond: Callable[[], bytes],
    write_end: int,
    config: WorkerConfig,
    address_space: int,
    call_filter: SystemCallFilter | None,
) -> None:
    code = 1
    try:
        os.setpgid(0, 0)
        _set_limits(config, address_space)
        if call_filter:
            call_filter.install()
        _write(write_end, respond())
        code = 0
    except MemoryError:
        code = _OUT_OF_MEMORY
    except BaseException:  # noqa: BLE001 - no exception may propagate: this process must not return to the worker's loop
        traceback.print_exc()
    finally:
        os._exit(code)


def _set_limits(config: WorkerConfig, address_space: int) -> None:
    """Limit processor time, memory and wall clock time, and prevent this process from opening files and sockets.

    The same limit on memory applies to the only file that a child may write to.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (config.cpu_seconds, config.cpu_seconds))
    if sys.platform == "linux":  # macOS neither reports the mapped memory nor enforces the limit.
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (config.memory_bytes, config.memory_bytes))
    # The worker stops a child that exceeds its time. The alarm does so if the worker no longer exists.
    signal.alarm(config.wall_seconds + _GRACE_SECONDS)


def _mapped_bytes() -> int:
    """Return the size of this process's address space in bytes, or 0 if the platform does not report it."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0


def _respond(file: int, config: WorkerConfig) -> bytes:
    try:
        return encode_rendering(render(io.BytesIO(_read(file)), config.options))
    except AppError as error:
        return encode_error(error)


def _respond_stripped(file: int, output: int, stripping: Stripping) -> bytes:
    data = _read(file)
    try:
        stripped = strip(data, stripping)
    except AppError as error:
        return encode_error(error)
    if stripped == data:
        return encode_stripped(has_changed=False)
    # A child that failed may have written a part of the file.
    os.lseek(output, 0, os.SEEK_SET)
    _write(output, stripped)
    return encode_stripped(has_changed=True)


def _read(file: int) -> bytes:
    """Read the whole file by position: every process that holds the descriptor shares its offset."""
    return os.pread(file, os.fstat(file).st_size, 0)


def _write(descriptor: int, response: bytes) -> None:
    remaining = memoryview(response)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


if __name__ == "__main__":
    main(int(sys.argv[1]), WorkerConfig.from_json(sys.argv[2]))
