"""`python -m app.reconcile`: finds and clears what crashes left behind, in both directions, and says what it did."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from datetime import UTC, datetime, timedelta

from app.data_dir import DataDir
from app.logs import configure_logs
from app.settings import Settings, read_settings
from app.storage import open_storage
from app.usecases.reconciling import Findings, Reconciler
from app.usecases.uploads import SETTLED_SECONDS


async def reconcile(settings: Settings) -> list[Findings]:
    """Run once, and once more on AWS if something was too young to be judged the first time."""
    data_dir = DataDir(settings.data_dir)
    async with open_storage(settings, data_dir) as storage:
        reconciler = Reconciler(store=storage.store, images=storage.images)
        findings = [await reconciler.run(settled_before=_settled_before(settings, data_dir))]
        if findings[0].unsettled and settings.backend == "aws":
            await asyncio.sleep(SETTLED_SECONDS)
            findings.append(await reconciler.run(settled_before=_settled_before(settings, data_dir)))
        return findings


def _settled_before(settings: Settings, data_dir: DataDir) -> datetime:
    """Return since when uploads may be under way: one process alone serves from a folder, any number from a bucket."""
    now = datetime.now(UTC)
    if settings.backend == "aws":
        return now - timedelta(seconds=SETTLED_SECONDS)
    return data_dir.served_since() or now


def main() -> None:
    settings = read_settings()
    configure_logs(level=settings.log_level, for_people=settings.logs_for_people)
    findings = asyncio.run(reconcile(settings))
    for found in findings:
        sys.stdout.write(json.dumps(dataclasses.asdict(found)) + "\n")
    if findings[-1].records_kept:
        sys.exit("So many originals are missing that this looks like the wrong bucket or folder; records were kept.")


if __name__ == "__main__":
    main()
