"""`python -m app users`: the accounts that the service stores."""

from __future__ import annotations

import asyncio

import click

from app.container.container import open_container
from app.settings import Settings
from app.startup import configure


@click.group()
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
