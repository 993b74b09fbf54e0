"""Makes objects and records agree again: records each discrepancy, and repairs it after a grace period.

Ages are judged by the object store's own clock. Nothing is deleted because a single run found a discrepancy: an earlier
run, at least a grace period ago, must have found the same one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from contextlib import suppress
from datetime import timedelta

import structlog

from app.consistency.comparison import Comparison
from app.consistency.expiry import Expiry
from app.consistency.owners import OwnersWithoutObjects
from app.consistency.ports import ReconcilePorts
from app.consistency.progress import PARALLEL, RunProgress
from app.consistency.report import ReconcileReport
from app.consistency.settlement import Settlement
from app.consistency.slices import Slice
from app.domain.errors import AppError
from app.domain.reconciliation import ReconcileState, ReconcileStep
from app.ports.metrics import Metrics

_SLICE_SECONDS = 5

_log = structlog.stdlib.get_logger(__name__)


class Reconciler:
    def __init__(self, ports: ReconcilePorts, *, metrics: Metrics, grace: timedelta) -> None:
        self._progress = RunProgress(ports)
        self._metrics = metrics
        self._ports = ports
        comparison, settlement = Comparison(ports), Settlement(ports, grace=grace)
        self._steps = {
            ReconcileStep.COMPARE: comparison.compare,
            ReconcileStep.OWNERS: OwnersWithoutObjects(ports, comparison).check,
            ReconcileStep.REVIEW: settlement.review,
            ReconcileStep.SETTLE: settlement.settle,
            ReconcileStep.EXPIRE: Expiry(ports).delete,
        }

    async def run(self, *, confirm: bool = False) -> ReconcileReport:
        """Finish the run that is in progress, or a new one, and return its report. Safe while the service is running.

        Walks objects and records in parallel and in constant memory. With `confirm`, also deletes what is withheld
        because there is suspiciously much of it. Raises DependencyUnavailable; the next call continues from the latest
        checkpoint.
        """
        report = None
        while report is None:
            report = await self.run_until(math.inf, confirm=confirm)
        return report

    async def run_until(self, deadline: float, *, confirm: bool = False) -> ReconcileReport | None:
        """Work on the run that is in progress, or a new one, until `deadline` (`time.monotonic()`).

        Returns the report if the run is finished, or None if another call has to continue it. Several processes may
        work on one run. The call returns some seconds after the deadline: a request to the store or the table that was
        begun before the deadline is completed, and the checkpoint is saved.
        """
        await self._progress.begin(confirm=confirm)
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._work(deadline)) for _ in range(PARALLEL)]
        except ExceptionGroup as failures:
            first = failures.exceptions[0]
            raise first from first.__cause__
        state = next((finished for worker in workers if (finished := worker.result())), None)
        if state is None:
            return None
        report = ReconcileReport(
            **{field.name: state.counts.get(field.name, 0) for field in dataclasses.fields(ReconcileReport)}
        )
        self._metrics.set_deletions_withheld(report.deletions_withheld)
        _log.info("reconcile.finished", **dataclasses.asdict(report))
        return report

    async def _work(self, deadline: float) -> ReconcileState | None:
        """Work on one segment after the other. Return the state of the finished run, or None after the deadline."""
        while (now := time.monotonic()) < deadline:
            state, work = await self._progress.claim(ends_at=min(now + _SLICE_SECONDS, deadline))
            if state.step is ReconcileStep.FINISHED:
                return state
            if work is None:
                await self._progress.wait()
            else:
                await self._run_slice(work)
        return None

    async def _run_slice(self, work: Slice) -> None:
        try:
            await self._steps[work.state.step](work)
        except BaseException:
            # Others need not wait until the lease has ended, and what is done need not be repeated.
            with suppress(AppError):
                await asyncio.shield(self._progress.save(work))
            raise
        await self._progress.save(work)
