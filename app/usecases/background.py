"""The loop of a worker: receives messages, has a bounded number of jobs carried out, and looks after the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from app.core.errors import AppError, DependencyUnavailable
from app.core.jobs import JobMessage
from app.core.ports import JobQueue, Metrics
from app.usecases.upkeep import Upkeep
from app.usecases.working import Work

_CONCURRENCY = 8
_RECEIVED_AT_ONCE = 10
_HIDE_SECONDS = 30
"""Longer than a lease, so that a message of a worker that died finds its job free."""
_SWEEP_SECONDS = 15
_RECONCILE_SECONDS = 3600
_PAUSE_SECONDS = 2
_STOP_SECONDS = 20

_log = structlog.stdlib.get_logger(__name__)


class Background:
    def __init__(
        self, *, queue: JobQueue, work: Work, upkeep: Upkeep, metrics: Metrics, queue_begins_empty: bool
    ) -> None:
        """`queue_begins_empty` is of a queue that is this process's own."""
        self._queue = queue
        self._work = work
        self._upkeep = upkeep
        self._metrics = metrics
        self._queue_begins_empty = queue_begins_empty
        self._free = asyncio.Semaphore(_CONCURRENCY)
        self._running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do jobs meanwhile; those under way at the end have a while for theirs, and are handed back after it."""
        loops = [
            asyncio.create_task(loop)
            for loop in (
                self._receive(),
                self._look_after(),
                _repeat(self._upkeep.finish_deletions, every_seconds=_SWEEP_SECONDS),
                _repeat(self._upkeep.reconcile_daily, every_seconds=_RECONCILE_SECONDS),
            )
        ]
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._finish()

    async def _look_after(self) -> None:
        if self._queue_begins_empty:
            await _once(self._upkeep.send_all)
        await _repeat(self._upkeep.send_lost, every_seconds=_SWEEP_SECONDS)

    async def _receive(self) -> None:
        """Take no more messages than can be begun at once: others may have hands free for the rest."""
        while True:
            await self._free.acquire()
            self._free.release()
            free = min(_RECEIVED_AT_ONCE, _CONCURRENCY - len(self._running))
            try:
                messages = await self._queue.receive(limit=free, hide_seconds=_HIDE_SECONDS)
            except AppError as error:
                self._note(error)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            except Exception:  # noqa: BLE001 - without this loop the worker would live on and do nothing
                _log.exception("worker.crashed")
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            for message in messages:
                await self._free.acquire()
                task = asyncio.create_task(self._carry_out(message))
                self._running.add(task)
                task.add_done_callback(self._ended)

    async def _finish(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=_STOP_SECONDS)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()

    async def _carry_out(self, message: JobMessage) -> None:
        try:
            await self._work.carry_out(message)
        except AppError as error:
            # Nothing is lost: the message comes again, and the record says how far the job is.
            self._note(error)
        except Exception:  # noqa: BLE001 - one job must not end the worker
            _log.exception("job.crashed", job_id=message.job_id)

    def _note(self, error: AppError) -> None:
        if isinstance(error, DependencyUnavailable):
            self._metrics.count_dependency_error(error.dependency)
        _log.warning("worker.hindered", cause=error.code, detail=error.detail)


async def _repeat(work: Callable[[], Awaitable[None]], *, every_seconds: float) -> None:
    while True:
        await _once(work)
        await asyncio.sleep(every_seconds)


async def _once(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except AppError as error:
        _log.warning("upkeep.failed", cause=error.code, detail=error.detail)
    except Exception:  # noqa: BLE001 - it is tried again
        _log.exception("upkeep.crashed")
