"""Reconcilers whose object store reports a time in the future, so that tests need not wait for grace periods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from app.common.object_deletion import ObjectDeletion
from app.consistency.ports import ReconcilePorts
from app.consistency.reconciler import Reconciler
from app.observability.metrics import PrometheusMetrics
from app.ports.admin_tables import OwnerIndex
from app.ports.clock import Clock
from app.ports.consistency_tables import ReconcileTable
from app.ports.metrics import Metrics
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable, OwnerTable, TombstoneTable
from tests.no_events import NO_EVENTS

GRACE = timedelta(days=7)


def system_clock() -> datetime:
    return datetime.now(UTC)


class ShiftedStore:
    """An object store whose own clock is shifted. The modification times of its objects do not change."""

    def __init__(self, real: ObjectStore, shift: timedelta) -> None:
        self._real = real
        self._shift = shift

    async def now(self) -> datetime:
        return await self._real.now() + self._shift

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def make_reconciler(
    *,
    store: ObjectStore,
    images: ImageTable,
    owners: OwnerTable,
    tombstones: TombstoneTable,
    table: ReconcileTable,
    owner_index: OwnerIndex,
    after: timedelta = timedelta(),
    clock: Clock = system_clock,
    metrics: Metrics | None = None,
) -> Reconciler:
    """Return a reconciler whose store time is `after` later than the real time."""
    shifted: Any = ShiftedStore(store, after)
    deletion = ObjectDeletion(store=shifted, tombstones=tombstones, clock=clock)
    ports = ReconcilePorts(
        store=shifted,
        images=images,
        owners=owners,
        tombstones=tombstones,
        table=table,
        deletion=deletion,
        owner_index=owner_index,
        events=NO_EVENTS,
    )
    return Reconciler(ports, metrics=metrics or PrometheusMetrics(), grace=GRACE)
