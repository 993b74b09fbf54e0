"""`python -m tests.scale.worker FOLDER IMAGES DAYS SLICE_SECONDS`: one process of a run over computed images.

Prints the report of the run and the largest resident set size of the process, in MiB, as JSON.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import resource
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.common.object_deletion import ObjectDeletion
from app.consistency import progress, reconciler
from app.consistency.ports import ReconcilePorts
from app.consistency.report import ReconcileReport
from app.observability.metrics import PrometheusMetrics
from app.tables.sqlite import SqliteOwnerTable, SqliteReconcileTable, SqliteTombstoneTable, open_sqlite
from tests.no_events import NO_EVENTS
from tests.reconcile_helpers import GRACE
from tests.scale.synthetic import Synthetic, SyntheticImages, SyntheticOwners, SyntheticStore


async def run(folder: Path, *, images: int, days: int) -> ReconcileReport:
    synthetic = Synthetic(folder, images)
    store: Any = SyntheticStore(synthetic, folder, after=timedelta(days=days))
    records: Any = SyntheticImages(synthetic)
    owners: Any = SyntheticOwners(synthetic)
    async with open_sqlite(folder / "service.db") as database:
        tombstones = SqliteTombstoneTable(database)
        ports = ReconcilePorts(
            store=store,
            images=records,
            owners=SqliteOwnerTable(database, clock=lambda: datetime.now(UTC)),
            tombstones=tombstones,
            table=SqliteReconcileTable(database),
            deletion=ObjectDeletion(store=store, tombstones=tombstones, clock=lambda: datetime.now(UTC)),
            owner_index=owners,
            events=NO_EVENTS,
        )
        return await reconciler.Reconciler(ports, metrics=PrometheusMetrics(), grace=GRACE).run()


def main() -> None:
    folder, images, days, slice_seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    setattr(reconciler, "_SLICE_SECONDS", slice_seconds)  # noqa: B010 - a constant
    # Shorter than that of the service, so that tests need not wait.
    setattr(progress, "_LEASE", timedelta(seconds=15))  # noqa: B010
    report = asyncio.run(run(folder, images=images, days=days))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({**dataclasses.asdict(report), "peak_mib": peak}) + "\n")


if __name__ == "__main__":
    main()
