"""`python -m app reconcile`: repairs what is out of step between the objects and the records."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from typing import Any

import click

from app.consistency.report import ReconcileReport
from app.container.container import open_container
from app.services.adoption import Candidate
from app.settings import Settings
from app.startup import configure

_WITHHELD = (
    "{originals} originals without a record were kept, because there are more of them than usual. If an older copy of "
    "the table was restored, rebuild their records with --adopt. To delete the originals, run again with --confirm."
)
_KEPT = (
    "{records} records without an original were kept, because there are so many that the service may be using the "
    "wrong bucket or folder. To delete the records, run again with --confirm."
)


@click.command()
@click.option("--adopt", is_flag=True, help="List the originals that have no record, instead of reconciling.")
@click.option(
    "--confirm", is_flag=True, help="Also delete suspiciously many objects; with --adopt: write the listed records."
)
def reconcile(*, adopt: bool, confirm: bool) -> None:
    """Compare objects with records, repair what is out of step, and print the results as lines of JSON."""
    settings = configure()
    if adopt:
        asyncio.run(_adopt(settings, confirm=confirm))
        return
    report = asyncio.run(_reconcile(settings, confirm=confirm))
    _print_json(dataclasses.asdict(report))
    warnings = []
    if report.deletions_withheld:
        warnings.append(_WITHHELD.format(originals=report.deletions_withheld))
    if report.records_kept:
        warnings.append(_KEPT.format(records=report.records_kept))
    if warnings:
        sys.exit("\n".join(warnings))


async def _reconcile(settings: Settings, *, confirm: bool) -> ReconcileReport:
    async with open_container(settings, serves=False) as container:
        return await container.reconciler.run(confirm=confirm)


async def _adopt(settings: Settings, *, confirm: bool) -> None:
    """Print a line for each original without a record. With `confirm`, write its record."""
    listed = adopted = 0
    async with open_container(settings, serves=False) as container:
        async for candidate in container.adoption.candidates():
            result = await container.adoption.adopt(candidate) if confirm else "listed"
            _print_json(_describe(candidate, result))
            listed, adopted = listed + 1, adopted + (result == "adopted")
    _print_json({"originals_without_a_record": listed, "adopted": adopted})
    if listed and not confirm:
        click.echo("Nothing was written. Run again with --confirm to write these records.", err=True)


def _describe(candidate: Candidate, result: str) -> dict[str, Any]:
    return {
        "owner_id": candidate.owner_id,
        "image_id": candidate.image_id,
        "filename": candidate.sidecar.filename,
        "size": candidate.size,
        "modified_at": candidate.modified_at.isoformat(),
        "result": result,
    }


def _print_json(line: dict[str, Any]) -> None:
    click.echo(json.dumps(line))
