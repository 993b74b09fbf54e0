"""The command line: `python -m app serve`, `worker`, `reconcile` and `users`."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import sys
from typing import Any

import click
import structlog

from app.consistency.report import ReconcileReport
from app.container.container import open_container
from app.server import run_server
from app.services.adoption import Candidate
from app.settings import Settings, read_settings
from app.startup import configure

_WITHHELD = (
    "{originals} originals without a record were kept, because there are more of them than usual. If an older copy of "
    "the table was restored, rebuild their records with --adopt. To delete the originals, run again with --confirm."
)
_KEPT = (
    "{records} records without an original were kept, because there are so many that the service may be using the "
    "wrong bucket or folder. To delete the records, run again with --confirm."
)

_log = structlog.stdlib.get_logger(__name__)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The image upload service. Settings come from environment variables and .env; see .env.example."""


@cli.command()
def serve() -> None:
    """Serve the API and the gallery. With a local queue, this process also runs the background jobs."""
    run_server("main:app", read_settings())


@cli.command()
def worker() -> None:
    """Run background jobs in this process until it is stopped. Needs QUEUE=sqs or another shared queue."""
    settings = configure()
    asyncio.run(_work(settings))


@cli.command()
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


@cli.group()
def users() -> None:
    """Manage the accounts that the service stores (AUTH=local)."""


@users.command()
@click.argument("email", required=False)
def invite(email: str | None) -> None:
    """Print an invitation, which allows one registration within a week; with EMAIL, only under this address."""
    settings = configure()
    token = asyncio.run(_invite(settings, email))
    click.echo(f"{settings.public_url}/?invitation={token}" if settings.public_url else token)


async def _invite(settings: Settings, email: str | None) -> str:
    async with open_container(settings, serves=False) as container:
        return container.invitations.invite(email)


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_container(settings) as container, container.worker.running():
        with container.services.metrics.served(host=settings.host, port=settings.metrics_port):
            _log.info("worker.started", backend=settings.backend)
            await stop.wait()
    _log.info("worker.stopped")


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
