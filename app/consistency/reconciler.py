"""Makes objects and records agree again: records each discrepancy, and repairs it after a grace period.

Ages are judged by the object store's own clock. Nothing is deleted because a single run found a discrepancy: an earlier
run, at least a grace period ago, must have found the same one.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import structlog

from app.consistency.comparison import Comparison
from app.consistency.ports import ReconcilePorts
from app.consistency.report import ReconcileReport
from app.consistency.settlement import Settlement, day_of
from app.domain.ids import is_id, new_id
from app.domain.object_keys import EXPORTS_PREFIX, INCOMING_PREFIX
from app.domain.reconciliation import ReconcileState
from app.domain.retention import EXPORT_RETENTION, INCOMING_RETENTION
from app.ports.metrics import Metrics

_RETENTION_BY_PREFIX = {INCOMING_PREFIX: INCOMING_RETENTION, EXPORTS_PREFIX: EXPORT_RETENTION}
"""The lifecycle rules of infra/template.yaml do the same on S3."""
RUNS_PREFIX = "reconcile/"
_BRAKE_DAYS = 7

_log = structlog.stdlib.get_logger(__name__)


class Reconciler:
    def __init__(self, ports: ReconcilePorts, *, metrics: Metrics, grace: timedelta) -> None:
        self._ports = ports
        self._metrics = metrics
        self._grace = grace

    async def run(self, *, confirm: bool = False) -> ReconcileReport:
        """Walk objects and records once, in parallel and in bounded memory. Safe while the service is running.

        With `confirm`, also delete what is withheld because there is suspiciously much of it.
        """
        now = await self._ports.store.now()
        state = await self._start(now)
        report = ReconcileReport()
        await Comparison(self._ports, report, now=now).run()
        await Settlement(self._ports, report, state, now=now, grace=self._grace, confirm=confirm).run()
        await self._sweep_expired(report, now)
        self._metrics.set_deletions_withheld(report.deletions_withheld)
        _log.info("reconcile.finished", **dataclasses.asdict(report))
        return report

    async def _start(self, now: datetime) -> ReconcileState:
        """Record the start of this run in the table and in the store.

        If the store has no marker of the run that is the latest according to the table, one of the two was restored
        from a backup. The grace periods in the table cannot be trusted then, so all of them start again.
        """
        previous = await self._ports.table.reconcile_state()
        is_unbroken = previous is not None and await self._ports.store.size(RUNS_PREFIX + previous.run_id) is not None
        if previous and not is_unbroken:
            _log.warning("reconcile.restored_copy", last_run=previous.run_id)
        first_day = day_of(now - timedelta(days=_BRAKE_DAYS))
        state = ReconcileState(
            run_id=new_id(),
            unbroken_since=previous.unbroken_since if previous and is_unbroken else now,
            originals_deleted={
                day: count for day, count in (previous.originals_deleted if previous else {}).items() if day > first_day
            },
        )
        # The marker is written first: after a crash in between, the previous one is still valid.
        await self._ports.store.put(RUNS_PREFIX + state.run_id, b"", content_type="text/plain")
        await self._ports.table.save_reconcile_state(state)
        if previous:
            await self._ports.store.delete([RUNS_PREFIX + previous.run_id])
        return state

    async def _sweep_expired(self, report: ReconcileReport, now: datetime) -> None:
        """Delete objects that are kept for a limited time only."""
        for prefix, retention in _RETENTION_BY_PREFIX.items():
            async for stored in self._ports.store.walk(prefix):
                name = stored.key.rpartition("/")[2].partition(".")[0]
                if is_id(name) and stored.modified_at < now - retention:
                    await self._ports.store.delete([stored.key])
                    report.expired_deleted += 1
