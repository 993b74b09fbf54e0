"""Starts the processes of the render pool and talks to them. They run `app.imaging.child`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Self

from app.imaging.protocol import (
    CANCEL,
    MAX_RESPONSE_BYTES,
    READY,
    RESPONSE_HEADER,
    Outcome,
    Protection,
    WorkerConfig,
)

_PROJECT_DIR = Path(__file__).parents[2]
_WORKER_MODULE = "app.imaging.child"
# Workers get only the variables with which programs and libraries are found: a compromised decoder must see no secret.
_PASSED_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME")
# Each memory page of a child causes a page fault. Huge pages reduce processor time for large images by a tenth. Memory
# that a child keeps for its next allocation, except for areas of 32 MiB and more, saves another twentieth.
# C libraries other than glibc ignore the variable.
_MALLOC_OPTIONS = ("hugetlb=1", f"mmap_threshold={32 << 20}", f"trim_threshold={4 << 30}")
_MALLOC = {"GLIBC_TUNABLES": ":".join(f"glibc.malloc.{option}" for option in _MALLOC_OPTIONS)}
_START_SECONDS = 60


class WorkerFailed(Exception):
    """The worker process itself ended or did not respond; the image is not the cause."""


class Worker:
    def __init__(self, process: asyncio.subprocess.Process, connection: socket.socket) -> None:
        self._process = process
        self._connection = connection
        self.lacking = Protection(0)

    @classmethod
    async def start(cls, config: WorkerConfig) -> Self:
        pool_socket, worker_socket = socket.socketpair()
        pool_socket.settimeout(0)
        try:
            with worker_socket:
                worker = cls(await _spawn(worker_socket, config), pool_socket)
        except BaseException:
            pool_socket.close()
            raise
        try:
            async with asyncio.timeout(_START_SECONDS):
                message = await worker._read(len(READY) + 1)
                worker.lacking = Protection(message[-1])
        except BaseException:
            await worker.end(grace_seconds=0)
            raise
        return worker

    async def run(self, files: list[int], *, message: bytes, timeout_seconds: float) -> tuple[Outcome, bytes]:
        """Send `files` and `message` to the worker and return its response.

        Raises WorkerFailed. The worker cannot be used again after that, nor after this call was canceled.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                # This never blocks: the socket buffer is empty, and the message is a few bytes.
                socket.send_fds(self._connection, [message], files)
                outcome, length = RESPONSE_HEADER.unpack(await self._read(RESPONSE_HEADER.size))
                return Outcome(outcome), await self._read(min(length, MAX_RESPONSE_BYTES))
        except (OSError, EOFError, ValueError) as error:  # TimeoutError is a subclass of OSError.
            raise WorkerFailed from error

    def cancel(self) -> None:
        """Stop the current rendering, so that `run` returns soon."""
        with contextlib.suppress(OSError):
            self._connection.send(CANCEL)

    async def end(self, *, grace_seconds: float) -> None:
        self._connection.close()  # A worker exits when its connection is closed.
        try:
            async with asyncio.timeout(grace_seconds):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _read(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        received = bytearray()
        while len(received) < size:
            part = await loop.sock_recv(self._connection, size - len(received))
            if not part:
                raise EOFError
            received += part
        return bytes(received)


async def _spawn(connection: socket.socket, config: WorkerConfig) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _WORKER_MODULE,
        str(connection.fileno()),
        config.to_json(),
        pass_fds=[connection.fileno()],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        cwd=_PROJECT_DIR,
        env=_MALLOC | {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ},
        # Ctrl-C sends SIGINT to the terminal's whole process group. Workers must finish their renderings first.
        start_new_session=True,
    )
