"""Renders a bounded number of images at once in worker processes, which run `app.imaging.child`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import operator
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import structlog

from app.domain.errors import DependencyUnavailable, ImageCorrupt, ImageTooExpensive
from app.domain.renderings import Output, Rendering
from app.imaging.fair_slots import FairSlots
from app.imaging.options import RenderOptions
from app.imaging.protocol import (
    CANCEL,
    MAX_RESPONSE_BYTES,
    READY,
    RESPONSE_HEADER,
    START,
    START_OUTPUT,
    Outcome,
    Protection,
    ResponseInvalid,
    WorkerConfig,
    decode_response,
    encode_output,
)

_PROJECT_DIR = Path(__file__).parents[2]
_WORKER_MODULE = "app.imaging.child"
# Workers get only the variables with which programs and libraries are found: a compromised decoder must see no secret.
_PASSED_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME")
# Each memory page of a child causes a page fault. Huge pages reduce processor time for large images by a tenth. C
# libraries other than glibc ignore the variable.
_HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_START_SECONDS = 60
_STOP_SECONDS = 5
_RESPONSE_SECONDS = 5
"""How long after the wall clock limit of an image the pool waits for the worker's response."""

_log = structlog.stdlib.get_logger(__name__)


class _WorkerFailed(Exception):
    """The worker process itself ended or did not respond; the image is not the cause."""


class _Worker:
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

    async def render(self, file: int, *, message: bytes, timeout_seconds: float) -> tuple[Outcome, bytes]:
        """Send `file` and `message` to the worker and return its response.

        Raises _WorkerFailed. The worker cannot be used again after that, nor after this call was canceled.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                # This never blocks: the socket buffer is empty, and the message is a few bytes.
                socket.send_fds(self._connection, [message], [file])
                outcome, length = RESPONSE_HEADER.unpack(await self._read(RESPONSE_HEADER.size))
                return Outcome(outcome), await self._read(min(length, MAX_RESPONSE_BYTES))
        except (OSError, EOFError, ValueError) as error:  # TimeoutError is a subclass of OSError.
            raise _WorkerFailed from error

    def cancel(self) -> None:
        """Stop the current rendering, so that `render` returns soon."""
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
        env=_HUGE_PAGES | {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ},
        # Ctrl-C sends SIGINT to the terminal's whole process group. Workers must finish their renderings first.
        start_new_session=True,
    )


def _open_read_only(file: int) -> int:
    """Return a new, read-only descriptor: a compromised decoder must not change a file that was checked and hashed."""
    try:
        return os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
    except FileNotFoundError:
        return os.dup(file)  # macOS has no /proc and no other way to reopen an unnamed file.


@dataclass(slots=True)
class _RenderRequest:
    file: int
    message: bytes
    worker: _Worker | None = None
    canceled: bool = False

    def cancel(self) -> None:
        self.canceled = True
        if self.worker is not None:
            self.worker.cancel()


class RenderPool:
    """Renderer that runs one rendering per worker process at a time. Users get the workers in turn."""

    def __init__(self, config: WorkerConfig, *, processes: int, queue_limit: int) -> None:
        self._config = config
        self._slots = FairSlots(processes, queue_limit=queue_limit)
        # One entry per free slot. An entry is None if its worker has ended and no other has replaced it yet.
        self._idle_workers: list[_Worker | None] = [None] * processes
        self._tasks: set[asyncio.Task[tuple[Outcome, bytes] | None]] = set()

    async def start(self) -> None:
        started = await asyncio.gather(
            *(_Worker.start(self._config) for _ in self._idle_workers), return_exceptions=True
        )
        self._idle_workers = [worker for worker in started if isinstance(worker, _Worker)]
        error = next((e for e in started if isinstance(e, BaseException)), None)
        if error is not None:
            raise RuntimeError("A render process did not start. Its standard error states the cause.") from error

    @property
    def lacking(self) -> Protection:
        """How the kernel does not restrict the child processes of some worker, after `start`."""
        return functools.reduce(operator.or_, (w.lacking for w in self._idle_workers if w), Protection(0))

    async def close(self) -> None:
        """Wait for the current renderings, whose time is limited, then end every worker."""
        await asyncio.gather(*self._tasks)
        workers, self._idle_workers = self._idle_workers, []
        await asyncio.gather(*(worker.end(grace_seconds=_STOP_SECONDS) for worker in workers if worker))

    async def render(self, file: BinaryIO, *, owner_id: str = "", output: Output | None = None) -> Rendering:
        options = self._config.options.for_output(output) if output else self._config.options
        await self._slots.acquire(owner_id)
        try:
            request = _RenderRequest(
                _open_read_only(file.fileno()), START_OUTPUT + encode_output(output) if output else START
            )
        except BaseException:
            self._slots.release()
            raise
        # A separate task completes the exchange with the worker even if the caller is canceled.
        task = asyncio.create_task(self._run(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            result = await asyncio.shield(task)
        except asyncio.CancelledError:
            request.cancel()
            raise
        if result is None:
            raise DependencyUnavailable("renderer")
        return self._to_rendering(*result, options)

    async def _run(self, request: _RenderRequest) -> tuple[Outcome, bytes] | None:
        """Return the worker's response, or None if no worker was available in two attempts. Releases the slot."""
        worker = self._idle_workers.pop()
        try:
            for _ in range(2):
                worker = worker or await self._start_replacement()
                if worker is None or request.canceled:
                    continue
                request.worker = worker
                try:
                    return await worker.render(
                        request.file,
                        message=request.message,
                        timeout_seconds=self._config.wall_seconds + _RESPONSE_SECONDS,
                    )
                except _WorkerFailed:
                    await worker.end(grace_seconds=0)
                    worker = request.worker = None
            return None
        finally:
            # A later cancellation would stop the next image of this worker.
            request.worker = None
            os.close(request.file)
            self._idle_workers.append(worker)
            self._slots.release()

    async def _start_replacement(self) -> _Worker | None:
        try:
            worker = await _Worker.start(self._config)
        except (OSError, EOFError):
            _log.exception("render_worker.start_failed")
            return None
        _log.warning("render_worker.replaced")
        return worker

    def _to_rendering(self, outcome: Outcome, response: bytes, options: RenderOptions) -> Rendering:
        match outcome:
            case Outcome.COMPLETED:
                try:
                    return decode_response(response, options)
                except ResponseInvalid as error:
                    _log.exception("render_worker.response_invalid")
                    raise ImageCorrupt from error
            case Outcome.LIMIT_EXCEEDED:
                raise ImageTooExpensive
            case Outcome.CRASHED:
                _log.warning("render_worker.crashed")
                raise ImageCorrupt
            case Outcome.BLOCKED:
                _log.warning("render_worker.blocked")
                raise ImageCorrupt
            case Outcome.FAILED | Outcome.CANCELED:
                raise RuntimeError(f"The rendering was not completed: {outcome.name.lower()}.")


@asynccontextmanager
async def open_render_pool(
    options: RenderOptions,
    *,
    processes: int,
    queue_limit: int,
    cpu_seconds: int = 10,
    memory_bytes: int = 1 << 30,
    wall_seconds: int = 30,
) -> AsyncIterator[RenderPool]:
    """Start `processes` workers, and end them on exit. `queue_limit` limits the waiting calls (FairSlots).

    Each image is limited to `cpu_seconds` of processor time, to `memory_bytes` in addition to the memory of an idle
    worker, and to `wall_seconds` from the start of its rendering. Raises RuntimeError if a worker does not start.
    """
    config = WorkerConfig(options, cpu_seconds=cpu_seconds, memory_bytes=memory_bytes, wall_seconds=wall_seconds)
    pool = RenderPool(config, processes=processes, queue_limit=queue_limit)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()
