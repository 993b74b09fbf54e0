"""Renders images in processes of their own, a bounded number at once; `render_worker` is what runs in each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import structlog

from app.adapters.render_protocol import (
    CANCEL,
    HEADER,
    MAX_ANSWER_BYTES,
    READY,
    START,
    AnswerInvalid,
    Outcome,
    WorkerConfig,
    read_answer,
)
from app.core.errors import DependencyUnavailable, ImageCorrupt, ImageTooExpensive, Overloaded
from app.core.models import Rendering
from app.core.render_options import RenderOptions

_PROJECT = Path(__file__).parents[2]
_WORKER = "app.adapters.render_worker"
# Where programs and libraries are found, and nothing that a decoder could give away.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME")
# A child's memory is new to it page by page; large pages make that a tenth cheaper for large images. Others ignore it.
_LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_START_SECONDS = 60
_STOP_SECONDS = 5
_ANSWER_SECONDS = 5
"""How long past the limits of the image a worker may take to say so."""

_log = structlog.stdlib.get_logger(__name__)


class _WorkerGone(Exception):
    """The template process itself has ended or does not answer, through no fault of the image."""


class _Worker:
    def __init__(self, process: asyncio.subprocess.Process, connection: socket.socket) -> None:
        self._process = process
        self._connection = connection

    @classmethod
    async def start(cls, config: WorkerConfig) -> Self:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        try:
            with theirs:
                worker = cls(await _spawn(theirs, config), ours)
        except BaseException:
            ours.close()
            raise
        try:
            async with asyncio.timeout(_START_SECONDS):
                await worker._read(len(READY))
        except BaseException:
            await worker.end(grace_seconds=0)
            raise
        return worker

    async def render(self, file: int, *, timeout_seconds: float) -> tuple[Outcome, bytes]:
        """Raises _WorkerGone; the worker is of no use after that, nor if this is cancelled."""
        try:
            async with asyncio.timeout(timeout_seconds):
                # One byte on a socket that is empty by now: this never waits.
                socket.send_fds(self._connection, [START], [file])
                outcome, length = HEADER.unpack(await self._read(HEADER.size))
                return Outcome(outcome), await self._read(min(length, MAX_ANSWER_BYTES))
        except (OSError, EOFError, ValueError) as error:  # TimeoutError is an OSError
            raise _WorkerGone from error

    def cancel(self) -> None:
        """Let the image it is at be stopped; `render` returns soon."""
        with contextlib.suppress(OSError):
            self._connection.send(CANCEL)

    async def end(self, *, grace_seconds: float) -> None:
        self._connection.close()  # A worker ends with its connection.
        try:
            async with asyncio.timeout(grace_seconds):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _read(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        read = bytearray()
        while len(read) < size:
            part = await loop.sock_recv(self._connection, size - len(read))
            if not part:
                raise EOFError
            read += part
        return bytes(read)


async def _spawn(connection: socket.socket, config: WorkerConfig) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _WORKER,
        str(connection.fileno()),
        config.to_json(),
        pass_fds=[connection.fileno()],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        cwd=_PROJECT,
        env=_LARGE_PAGES | {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        # Ctrl-C goes to the whole group of a terminal; the service ends its workers itself, once they are done.
        start_new_session=True,
    )


def _read_only(file: int) -> int:
    """Return a descriptor of its own: a decoder that was taken over must not change what was checked and hashed."""
    try:
        return os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
    except FileNotFoundError:
        return os.dup(file)  # no such folder on macOS, and no other way to a file without a name


@dataclass(slots=True)
class _Job:
    file: int
    worker: _Worker | None = None
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True
        if self.worker is not None:
            self.worker.cancel()


class RenderPool:
    """Renderer: as many images at once as there are processes, first come, first served."""

    def __init__(self, config: WorkerConfig, *, processes: int, queue_limit: int) -> None:
        self._config = config
        self._queue_limit = queue_limit
        self._waiting = 0
        self._slots = asyncio.Semaphore(processes)
        # One place for each slot that is free; None where a worker is gone and none has taken its place yet.
        self._idle: list[_Worker | None] = [None] * processes
        self._jobs: set[asyncio.Task[tuple[Outcome, bytes] | None]] = set()

    async def start(self) -> None:
        started = await asyncio.gather(*(_Worker.start(self._config) for _ in self._idle), return_exceptions=True)
        self._idle = [worker for worker in started if isinstance(worker, _Worker)]
        error = next((e for e in started if isinstance(e, BaseException)), None)
        if error is not None:
            raise RuntimeError("A render process did not start; it says why on standard error.") from error

    async def close(self) -> None:
        """Let what runs come to its end, which its limits bound, then end every worker."""
        await asyncio.gather(*self._jobs)
        workers, self._idle = self._idle, []
        await asyncio.gather(*(worker.end(grace_seconds=_STOP_SECONDS) for worker in workers if worker))

    async def render(self, file: BinaryIO) -> Rendering:
        await self._take_slot()
        try:
            job = _Job(_read_only(file.fileno()))
        except BaseException:
            self._slots.release()
            raise
        # A task of its own: a caller that goes away must not leave a worker in the middle of an answer.
        task = asyncio.create_task(self._run(job))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        try:
            result = await asyncio.shield(task)
        except asyncio.CancelledError:
            job.cancel()
            raise
        if result is None:
            raise DependencyUnavailable("renderer")
        return self._verdict(*result)

    async def _take_slot(self) -> None:
        if self._slots.locked() and self._waiting >= self._queue_limit:
            raise Overloaded
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1

    async def _run(self, job: _Job) -> tuple[Outcome, bytes] | None:
        """Return what became of the image; None if there was no worker to render it, twice. Gives the slot back."""
        worker = self._idle.pop()
        try:
            for _ in range(2):
                worker = worker or await self._replace()
                if worker is None or job.cancelled:
                    continue
                job.worker = worker
                try:
                    return await worker.render(job.file, timeout_seconds=self._config.wall_seconds + _ANSWER_SECONDS)
                except _WorkerGone:
                    await worker.end(grace_seconds=0)
                    worker = job.worker = None
            return None
        finally:
            # From here on a cancellation would reach the next image of this worker.
            job.worker = None
            os.close(job.file)
            self._idle.append(worker)
            self._slots.release()

    async def _replace(self) -> _Worker | None:
        try:
            worker = await _Worker.start(self._config)
        except (OSError, EOFError):
            _log.exception("render_worker.start_failed")
            return None
        _log.warning("render_worker.replaced")
        return worker

    def _verdict(self, outcome: Outcome, answer: bytes) -> Rendering:
        match outcome:
            case Outcome.ANSWERED:
                try:
                    return read_answer(answer, self._config.options)
                except AnswerInvalid as error:
                    _log.exception("render_worker.answer_invalid")
                    raise ImageCorrupt from error
            case Outcome.STOPPED:
                raise ImageTooExpensive
            case Outcome.CRASHED:
                _log.warning("render_worker.crashed")
                raise ImageCorrupt
            case Outcome.FAILED | Outcome.CANCELLED:
                raise RuntimeError(f"rendering {outcome.name.lower()}")


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
    """Start `processes` workers and end them again; at most `queue_limit` renderings wait for one.

    An image may take `cpu_seconds` of processor time, `memory_bytes` above what an idle worker has, and
    `wall_seconds` from the moment a worker begins.
    """
    config = WorkerConfig(options, cpu_seconds=cpu_seconds, memory_bytes=memory_bytes, wall_seconds=wall_seconds)
    pool = RenderPool(config, processes=processes, queue_limit=queue_limit)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()
