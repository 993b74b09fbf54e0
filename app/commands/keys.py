"""`python -m app keys`: keys with which other servers call the API. `python -m app audit`: the audit log."""

from __future__ import annotations

import dataclasses
import json

import click

from app.commands.containers import run_in_container
from app.container.use_cases import Container
from app.domain.administration import Scope
from app.services.audit import OPERATOR


@click.group()
def keys() -> None:
    """Manage the keys with which other servers call the API."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What the key may do. May be repeated.",
)
def create(name: str, scopes: tuple[str, ...]) -> None:
    """Create a key and print its token, which cannot be shown again. NAME describes who uses it."""

    async def run(container: Container) -> None:
        key, token = await container.services.server_keys.create(name, [Scope(scope) for scope in scopes])
        await container.services.audit.record("key.created", actor=OPERATOR, target=key.id)
        click.echo(token)

    run_in_container(run)


@keys.command("list")
def list_keys() -> None:
    """Print all keys, without their tokens."""

    async def run(container: Container) -> None:
        for key in await container.services.server_keys.keys():
            state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "valid"
            click.echo(f"{key.id}  {key.created_at:%Y-%m-%d}  {state:18}  {','.join(key.scopes)}  {key.name}")

    run_in_container(run)


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke a key. Running processes refuse it within seconds."""

    async def run(container: Container) -> None:
        key = await container.services.server_keys.revoke(key_id)
        await container.services.audit.record("key.revoked", actor=OPERATOR, target=key.id)

    run_in_container(run)


@click.command()
@click.option("--user", "user_id", help="Only entries that concern the user with this id.")
def audit(user_id: str | None) -> None:
    """Print the audit log as lines of JSON, newest first."""

    async def run(container: Container) -> None:
        async for entry in container.services.audit.walk(owner_id=user_id):
            click.echo(json.dumps(dataclasses.asdict(entry), default=str))

    run_in_container(run)
