"""`python -m app.reconcile`: brings objects and records back in step, and says what it did as lines of JSON."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from typing import Any

from app.logs import configure_logs
from app.settings import Settings, read_settings
from app.usecases.adoption import Candidate
from app.usecases.reconcile_findings import Findings
from app.wiring import open_services

_WITHHELD = (
    "{originals} originals without a record were kept, because they are more than usual. If a copy of the table was "
    "restored, rebuild their records: --adopt. To delete them, run it again with --confirm."
)
_KEPT = (
    "{records} records whose originals are missing were kept, because they are so many that this looks like the wrong "
    "bucket or folder. To remove them, run it again with --confirm."
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m app.reconcile", description=__doc__)
    parser.add_argument(
        "--adopt", action="store_true", help="list the originals that have no record, instead of reconciling"
    )
    parser.add_argument(
        "--confirm",
        action="store_true",
        help="delete also what is suspiciously much; with --adopt: write the records that it lists",
    )
    arguments = parser.parse_args()
    settings = read_settings()
    configure_logs(level=settings.log_level, for_people=settings.logs_for_people)
    if arguments.adopt:
        asyncio.run(adopt(settings, confirm=arguments.confirm))
        return
    findings = asyncio.run(reconcile(settings, confirm=arguments.confirm))
    _print(dataclasses.asdict(findings))
    faults = []
    if findings.deletions_withheld:
        faults.append(_WITHHELD.format(originals=findings.deletions_withheld))
    if findings.records_kept:
        faults.append(_KEPT.format(records=findings.records_kept))
    if faults:
        sys.exit("\n".join(faults))


async def reconcile(settings: Settings, *, confirm: bool) -> Findings:
    async with open_services(settings, serves=False) as services:
        return await services.reconciler.run(confirm=confirm)


async def adopt(settings: Settings, *, confirm: bool) -> None:
    """Print a line for each original without a record, and with `confirm` write its record."""
    async with open_services(settings, serves=False) as services:
        listed = adopted = 0
        async for candidate in services.adoption.candidates():
            result = await services.adoption.adopt(candidate) if confirm else "listed"
            _print(_line(candidate, result))
            listed, adopted = listed + 1, adopted + (result == "adopted")
        _print({"originals_without_a_record": listed, "adopted": adopted})
    if listed and not confirm:
        sys.stderr.write("Nothing was written. Run it again with --confirm to write these records.\n")


def _line(candidate: Candidate, result: str) -> dict[str, Any]:
    return {
        "owner_id": candidate.owner_id,
        "image_id": candidate.image_id,
        "filename": candidate.sidecar.filename,
        "size": candidate.size,
        "modified_at": candidate.modified_at.isoformat(),
        "result": result,
    }


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
