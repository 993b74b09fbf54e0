"""Reconcile runs at times that a test chooses: the store's own time is shifted, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from app.adapters.prometheus import PrometheusMetrics
from app.core.clock import Clock
from app.core.ports import ImageTable, ObjectStore, OwnerTable, ReconcileTable, TombstoneTable
from app.usecases.deletions import Deletions
from app.usecases.reconcile_findings import Findings, Ports
from app.usecases.reconciling import Reconciler

GRACE = timedelta(days=7)


def system_clock() -> datetime:
    return datetime.now(UTC)


class ShiftedStore:
    """An object store whose own clock shows another time; the times of its objects stay as they are."""

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
    after: timedelta = timedelta(),
    clock: Clock = system_clock,
) -> Reconciler:
    """Return a reconciler to which the store's time is `after` later than it is."""
    shifted: Any = ShiftedStore(store, after)
    deletions = Deletions(store=shifted, tombstones=tombstones, clock=clock)
    ports = Ports(store=shifted, images=images, owners=owners, tombstones=tombstones, table=table, deletions=deletions)
    return Reconciler(ports, metrics=PrometheusMetrics(), grace=GRACE)


async def reconcile_storage(storage: Any, *, after: timedelta = timedelta(), confirm: bool = False) -> Findings:
    """Run over an opened `app.storage.Storage`."""
    reconciler = make_reconciler(
        store=storage.store,
        images=storage.images,
        owners=storage.owners,
        tombstones=storage.tombstones,
        table=storage.reconcile,
        after=after,
        clock=storage.clock,
    )
    return await reconciler.run(confirm=confirm)
