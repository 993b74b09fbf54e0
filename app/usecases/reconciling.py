"""Brings objects and records back in step: what has no counterpart is noted, and settled after a grace period.

Ages are judged by the object store's own clock. Nothing is deleted because one run found it out of step: an earlier
run, a grace period ago, has to have found the same.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import structlog

from app.core.ids import is_id, new_id
from app.core.models import EXPORTS_PREFIX, INCOMING_PREFIX, ReconcileState
from app.core.ports import Metrics
from app.usecases import exports
from app.usecases.reconcile_comparison import Comparison
from app.usecases.reconcile_findings import Findings, Ports
from app.usecases.reconcile_settlement import Settlement, day_of

KEPT = {INCOMING_PREFIX: timedelta(days=1), EXPORTS_PREFIX: exports.KEPT}
"""The lifecycle rules of infra/template.yaml do the same on S3."""
RUNS_PREFIX = "reconcile/"
_BRAKE_DAYS = 7

_log = structlog.stdlib.get_logger(__name__)


class Reconciler:
    def __init__(self, ports: Ports, *, metrics: Metrics, grace: timedelta) -> None:
        self._ports = ports
        self._metrics = metrics
        self._grace = grace

    async def run(self, *, confirm: bool = False) -> Findings:
        """Walk objects and records once, side by side and in bounded memory; safe beside a running service.

        With `confirm` also what is suspiciously much is deleted.
        """
        now = await self._ports.store.now()
        state = await self._begin(now)
        findings = Findings()
        await Comparison(self._ports, findings, now=now).run()
        await Settlement(self._ports, findings, state, now=now, grace=self._grace, confirm=confirm).run()
        await self._sweep_expired(findings, now)
        self._metrics.set_deletions_withheld(findings.deletions_withheld)
        _log.info("reconcile.finished", **dataclasses.asdict(findings))
        return findings

    async def _begin(self, now: datetime) -> ReconcileState:
        """Note the beginning of this run in the table and in the store.

        If the store does not hold the note of the run that the table knows as the latest, one of them was restored
        from a copy since. What the table says about grace periods cannot be trusted then: all begin anew.
        """
        before = await self._ports.table.reconcile_state()
        is_unbroken = before is not None and await self._ports.store.size(RUNS_PREFIX + before.run_id) is not None
        if before and not is_unbroken:
            _log.warning("reconcile.restored_copy", last_run=before.run_id)
        first_day = day_of(now - timedelta(days=_BRAKE_DAYS))
        state = ReconcileState(
            run_id=new_id(),
            unbroken_since=before.unbroken_since if before and is_unbroken else now,
            originals_deleted={d: n for d, n in (before.originals_deleted if before else {}).items() if d > first_day},
        )
        # The object first: a crash in between leaves the old note valid.
        await self._ports.store.put(RUNS_PREFIX + state.run_id, b"", content_type="text/plain")
        await self._ports.table.save_reconcile_state(state)
        if before:
            await self._ports.store.delete([RUNS_PREFIX + before.run_id])
        return state

    async def _sweep_expired(self, findings: Findings, now: datetime) -> None:
        """Delete what is kept for a limited time only."""
        for prefix, kept in KEPT.items():
            async for stored in self._ports.store.walk(prefix):
                name = stored.key.rpartition("/")[2].removesuffix(".zip")
                if is_id(name) and stored.modified_at < now - kept:
                    await self._ports.store.delete([stored.key])
                    findings.expired_deleted += 1
