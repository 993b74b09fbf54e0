"""Renders a bounded number of images at once in worker processes, which run `app.imaging.child`."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import operator
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import structlog

from app.common.blocking_io import run_blocking_io
from app.domain.errors import DependencyUnavailable, ImageCorrupt, ImageTooExpensive
from app.domain.renderings import Output, Rendering, Stripping
from app.imaging.fair_slots import FairSlots
from app.imaging.options import RenderOptions
from app.imaging.protocol import (
    START,
    START_OUTPUT,
    STRIP_MESSAGES,
    Outcome,
    Protection,
    ResponseInvalid,
    WorkerConfig,
    decode_response,
    decode_stripped,
    encode_output,
)
from app.imaging.worker import Worker, WorkerFailed
from app.ports.renderer import StrippedFile

_STOP_SECONDS = 5
_RESPONSE_SECONDS = 5
"""How long after the wall clock limit of an image the pool waits for the worker's response."""

_READ_BYTES = 1 << 20

T = TypeVar("T")

_log = structlog.stdlib.get_logger(__name__)


def _open_again(file: int, mode: int = os.O_RDONLY) -> int:
    """Return a new descriptor, read-only or write-only.

    A compromised decoder must not change a file that was checked and hashed, and cannot map a file that it only writes.
    """
    try:
        return os.open(f"/proc/self/fd/{file}", mode)
    except FileNotFoundError:
        return os.dup(file)  # macOS has no /proc and no other way to reopen an unnamed file.


@dataclass(slots=True)
class _RenderRequest:
    files: list[int]
    message: bytes
    worker: Worker | None = None
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
        self._idle_workers: list[Worker | None] = [None] * processes
        self._tasks: set[asyncio.Task[tuple[Outcome, bytes] | None]] = set()

    async def start(self) -> None:
        started = await asyncio.gather(
            *(Worker.start(self._config) for _ in self._idle_workers), return_exceptions=True
        )
        self._idle_workers = [worker for worker in started if isinstance(worker, Worker)]
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
        message = START_OUTPUT + encode_output(output) if output else START
        result = await self._exchange(lambda: [_open_again(file.fileno())], message, owner_id=owner_id)
        return _completed(*result, lambda response: decode_response(response, options))

    async def strip(
        self, file: BinaryIO, output: BinaryIO, *, stripping: Stripping, owner_id: str = ""
    ) -> StrippedFile | None:
        result = await self._exchange(
            lambda: [_open_again(file.fileno()), _open_again(output.fileno(), os.O_WRONLY)],
            STRIP_MESSAGES[stripping],
            owner_id=owner_id,
        )
        return await run_blocking_io(_measure, output) if _completed(*result, decode_stripped) else None

    async def _exchange(
        self, open_files: Callable[[], list[int]], message: bytes, *, owner_id: str
    ) -> tuple[Outcome, bytes]:
        """Send a message to a worker once one is free, and return its response. Raises DependencyUnavailable."""
        await self._slots.acquire(owner_id)
        try:
            request = _RenderRequest(open_files(), message)
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
        return result

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
                    return await worker.run(
                        request.files,
                        message=request.message,
                        timeout_seconds=self._config.wall_seconds + _RESPONSE_SECONDS,
                    )
                except WorkerFailed:
                    await worker.end(grace_seconds=0)
                    worker = request.worker = None
            return None
        finally:
            # A later cancellation would stop the next image of this worker.
            request.worker = None
            for file in request.files:
                os.close(file)
            self._idle_workers.append(worker)
            self._slots.release()

    async def _start_replacement(self) -> Worker | None:
        try:
            worker = await Worker.start(self._config)
        except (OSError, EOFError):
            _log.exception("render_worker.start_failed")
            return None
        _log.warning("render_worker.replaced")
        return worker


def _completed(outcome: Outcome, response: bytes, decode: Callable[[bytes], T]) -> T:
    """Return the decoded response of a child that has completed, or raise the error that the outcome means."""
    match outcome:
        case Outcome.COMPLETED:
            try:
                return decode(response)
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


def _measure(file: BinaryIO) -> StrippedFile:
    """Return the size and digest of a file that a child has written. The child, which may be compromised, has ended."""
    digest, size = hashlib.sha256(), 0
    while part := os.pread(file.fileno(), _READ_BYTES, size):
        digest.update(part)
        size += len(part)
    return StrippedFile(size, digest.hexdigest())


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
