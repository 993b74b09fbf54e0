"""The worker: receives messages, processes a limited number of jobs concurrently, and runs the periodic maintenance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from app.domain.errors import AppError, DependencyUnavailable
from app.domain.jobs import JobMessage
from app.jobs.maintenance import Maintenance
from app.ports.metrics import Metrics
from app.ports.queue import JobQueue

_CONCURRENCY = 8
_MAX_MESSAGES = 10
_VISIBILITY_TIMEOUT_SECONDS = 30
"""Longer than a lease. The lease of a dead worker has therefore ended when its message is delivered again."""
_SWEEP_SECONDS = 15
_DISPATCH_SECONDS = 5
_RECONCILE_SECONDS = 3600
_ERROR_PAUSE_SECONDS = 2
_STOP_SECONDS = 20

_log = structlog.stdlib.get_logger(__name__)


class Runner(Protocol):
    async def process(self, message: JobMessage) -> None: ...


class Worker:
    def __init__(
        self, *, queue: JobQueue, runner: Runner, maintenance: Maintenance, metrics: Metrics, queue_is_volatile: bool
    ) -> None:
        """`queue_is_volatile` means that the queue lives in this process and starts empty."""
        self._queue = queue
        self._runner = runner
        self._maintenance = maintenance
        self._metrics = metrics
        self._queue_is_volatile = queue_is_volatile
        self._free = asyncio.Semaphore(_CONCURRENCY)
        self._running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Process jobs within the context. At its end, running jobs get 20 s to finish; the others are requeued."""
        loops = [
            asyncio.create_task(loop)
            for loop in (
                self._receive(),
                self._requeue(),
                _repeat(self._maintenance.finish_deletions, every_seconds=_SWEEP_SECONDS),
                _repeat(self._maintenance.expire_uploads, every_seconds=_SWEEP_SECONDS),
                _repeat(self._maintenance.dispatch_events, every_seconds=_DISPATCH_SECONDS),
                _repeat(self._maintenance.reconcile_daily, every_seconds=_RECONCILE_SECONDS),
            )
        ]
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._finish()

    async def _requeue(self) -> None:
        if self._queue_is_volatile:
            await _run_logged(self._maintenance.requeue_all)
        await _repeat(self._maintenance.requeue_stale_jobs, every_seconds=_SWEEP_SECONDS)

    async def _receive(self) -> None:
        """Receive no more messages than there are free slots: other workers may have capacity for the rest."""
        while True:
            await self._free.acquire()
            self._free.release()
            limit = min(_MAX_MESSAGES, _CONCURRENCY - len(self._running))
            try:
                messages = await self._queue.receive(
                    limit=limit, visibility_timeout_seconds=_VISIBILITY_TIMEOUT_SECONDS
                )
            except AppError as error:
                self._log_failure(error)
                await asyncio.sleep(_ERROR_PAUSE_SECONDS)
                continue
            except Exception:  # noqa: BLE001 - without this loop the worker would keep running and do nothing
                _log.exception("worker.crashed")
                await asyncio.sleep(_ERROR_PAUSE_SECONDS)
                continue
            for message in messages:
                await self._free.acquire()
                task = asyncio.create_task(self._process(message))
                self._running.add(task)
                task.add_done_callback(self._release_slot)

    async def _finish(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=_STOP_SECONDS)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _release_slot(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()

    async def _process(self, message: JobMessage) -> None:
        try:
            await self._runner.process(message)
        except AppError as error:
            # Nothing is lost: the message is delivered again, and the record holds the job's progress.
            self._log_failure(error)
        except Exception:  # noqa: BLE001 - one job must not end the worker
            _log.exception("job.crashed", job_id=message.job_id)

    def _log_failure(self, error: AppError) -> None:
        if isinstance(error, DependencyUnavailable):
            self._metrics.count_dependency_error(error.dependency)
        _log.warning("worker.dependency_failed", cause=error.code, detail=error.detail)


async def _repeat(task: Callable[[], Awaitable[object]], *, every_seconds: float) -> None:
    while True:
        await _run_logged(task)
        await asyncio.sleep(every_seconds)


async def _run_logged(task: Callable[[], Awaitable[object]]) -> None:
    try:
        await task()
    except AppError as error:
        _log.warning("maintenance.failed", cause=error.code, detail=error.detail)
    except Exception:  # noqa: BLE001 - it is repeated
        _log.exception("maintenance.crashed")
