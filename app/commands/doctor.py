"""`python -m app doctor`: checks an installation."""

from __future__ import annotations

import asyncio
import sys

import click

from app.container.doctor import examine
from app.doctor.finding import Verdict
from app.settings import Settings, read_settings


@click.command()
def doctor() -> None:
    """Check the settings, the disk, the clock, the backends, and the running service.

    Prints a line for each check, and exits with status 1 if one failed.
    """
    if not asyncio.run(_print_findings(read_settings())):
        sys.exit(1)


async def _print_findings(settings: Settings) -> bool:
    """Return whether no check failed."""
    is_sound = True
    async for finding in examine(settings):
        click.echo(str(finding))
        is_sound = is_sound and finding.verdict is not Verdict.FAILED
    return is_sound
