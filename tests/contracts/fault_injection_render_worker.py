"""Render worker whose child processes run the command in the file, as a compromised or faulty decoder might.

The pool passes only a few variables to workers, so LANG configures this one: WITHOUT_FILTER stands for a kernel without
seccomp, NOBODY for an ordinary user, and THREADS for decoders that use several threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import os
import platform
import resource
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pillow_heif
from PIL import AvifImagePlugin

from app.domain.errors import AppError, FormatUnsupported
from app.imaging import child as render_worker
from app.imaging.protocol import Outcome, WorkerConfig, encode_error, encode_rendering
from app.imaging.rendering import render


def raise_signal(name: str) -> None:
    os.kill(os.getpid(), signal.Signals[name])


def fork(_: str) -> None:
    os.fork()
    time.sleep(600)


def list_environment(substring: str) -> bytes:
    return encode_error(FormatUnsupported(" ".join(name for name in os.environ if substring in name)))


def attack(command: str) -> bytes:
    """Run one of `ATTACKS` and respond with how the system call failed."""
    name, _, folder = command.strip().partition(" ")
    try:
        ATTACKS[name](Path(folder))
    except OSError as error:
        return encode_error(FormatUnsupported(f"failed with {errno.errorcode[error.errno or 0]}"))
    return encode_error(FormatUnsupported("succeeded"))


def system_call(*arguments: Any) -> None:
    """Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)) == -1:
        raise OSError(ctypes.get_errno(), "")


def raise_limit(_: Path) -> None:
    limits = ctypes.create_string_buffer(struct.pack("=2Q", 0, 0))
    system_call(PRLIMIT64, 0, resource.RLIMIT_NOFILE, limits, 0)


PTRACE_ATTACH, PR_SET_DUMPABLE, CLONE_THREAD_IN_NAMESPACE = 16, 4, 0x00010000 | 0x00000800 | 0x100 | 0x40000000
IO_URING_SETUP, PIDFD_OPEN, CLONE3 = 425, 434, 435
KILL_WORKER = b"kill-worker"
NUMBERS = {"x86_64": (101, 310, 157, 56, 302), "aarch64": (117, 270, 167, 220, 261)}
PTRACE, PROCESS_VM_READV, PRCTL, CLONE, PRLIMIT64 = NUMBERS.get(platform.machine(), (-1,) * 5)

ATTACKS: dict[str, Callable[[Path], object]] = {
    "read": lambda folder: (folder / "secret").read_bytes(),
    "create": lambda folder: (folder / "new").touch(),
    "overwrite": lambda folder: (folder / "secret").open("wb").close(),
    "list": lambda folder: list(folder.iterdir()),
    "unlink": lambda folder: (folder / "secret").unlink(),
    "rename": lambda folder: (folder / "secret").rename(folder / "renamed"),
    "truncate": lambda folder: os.truncate(folder / "secret", 0),
    "symlink": lambda folder: (folder / "link").symlink_to("/etc/passwd"),
    "hardlink": lambda folder: (folder / "link").hardlink_to(folder / "secret"),
    "mkdir": lambda folder: (folder / "new").mkdir(),
    "chmod": lambda folder: (folder / "secret").chmod(0o777),
    "ptrace": lambda _: system_call(PTRACE, PTRACE_ATTACH, os.getppid(), 0, 0),
    "read-memory": lambda _: system_call(PROCESS_VM_READV, os.getppid(), 0, 0, 0, 0, 0),
    "fork": lambda _: os.fork() or os._exit(0),
    "clone3": lambda _: system_call(CLONE3, 0, 0),
    "thread-in-namespace": lambda _: system_call(CLONE, CLONE_THREAD_IN_NAMESPACE, 0, 0, 0, 0),
    "exec": lambda _: os.execv("/bin/true", ["true"]),  # noqa: S606 - it must fail
    "connect": lambda _: socket.socket().connect(("127.0.0.1", 9)),
    "kill-parent": lambda _: os.kill(os.getppid(), signal.SIGKILL),
    "kill-group": lambda _: os.kill(0, signal.SIGKILL),
    "kill-all": lambda _: os.kill(-1, 0),
    "setsid": lambda _: os.setsid(),
    "setpgid": lambda _: os.setpgid(0, os.getppid()),
    "raise-limit": raise_limit,
    "prctl": lambda _: system_call(PRCTL, PR_SET_DUMPABLE, 1),
    "io_uring": lambda _: system_call(IO_URING_SETUP, 1, 0),
    "pidfd": lambda _: system_call(PIDFD_OPEN, os.getppid(), 0),
}


def use_threads() -> None:
    AvifImagePlugin.DEFAULT_MAX_THREADS = 4
    pillow_heif.options.DECODE_THREADS = 4


def drop_privileges() -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def start_thread(_: str) -> bytes:
    thread = threading.Thread(target=time.monotonic)
    thread.start()
    thread.join()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    return encode_error(FormatUnsupported(f"a thread ran; {limit[0]} new files"))


def write_to_all_descriptors(text: str) -> bytes:
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.pwrite(descriptor, text.encode(), 0)
    return encode_error(FormatUnsupported("attempted"))


COMMANDS: dict[str, Callable[[str], object]] = {
    "attack": attack,
    "bug": lambda _: 1 // 0,
    "environment": list_environment,
    "flood": lambda _: bytes(100 << 20),
    "fork": fork,
    "invalid-response": lambda _: b"\x00\x00\x00\x02{}",
    "raise": raise_signal,
    "thread": start_thread,
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


def run_in_child(respond: partial[bytes], *arguments: Any) -> tuple[Outcome, bytes]:
    """Render the file, unless its command is to kill the worker, which no child can do."""
    if os.pread(respond.args[0], len(KILL_WORKER), 0) == KILL_WORKER:
        os.kill(os.getpid(), signal.SIGKILL)
    return original_run_in_child(respond, *arguments)


if __name__ == "__main__":
    render_worker._respond = respond
    original_run_in_child: Callable[..., tuple[Outcome, bytes]] = render_worker._run_in_child
    render_worker._run_in_child = run_in_child  # type: ignore[assignment]
    language = os.environ.get("LANG", "")
    if "WITHOUT_FILTER" in language:
        render_worker._usable_filter = lambda: None
    if "THREADS" in language:
        start_trial = render_worker._protect
        render_worker._protect = lambda: use_threads() or start_trial()  # type: ignore[func-returns-value]
    if "NOBODY" in language:
        protect = render_worker._protect
        render_worker._protect = lambda: drop_privileges() or protect()  # type: ignore[func-returns-value]
    render_worker.main(int(sys.argv[1]), WorkerConfig.from_json(sys.argv[2]))
