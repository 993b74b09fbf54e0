"""`python -m app users`: the users of the service, and the accounts that it stores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import click

from app.commands.containers import run_in_container
from app.container.use_cases import Container
from app.domain.errors import UserMissing
from app.services.audit import OPERATOR
from app.services.user_administration import UserAdministration, UserDetails
from app.settings import read_settings

_PAGE = 100
_COLUMNS = "{id:38}{email:32}{images:>9}{bytes:>15}  {state}"


@click.group()
def users() -> None:
    """Manage users. USER is an id or, with AUTH=local, an email address."""


@users.command()
@click.argument("email", required=False)
def invite(email: str | None) -> None:
    """Print an invitation, which allows one registration within a week; with EMAIL, only under this address."""
    settings = read_settings()

    async def run(container: Container) -> None:
        token = container.invitations.invite(email)
        click.echo(f"{settings.public_url}/?invitation={token}" if settings.public_url else token)
        await container.services.audit.record("user.invited", actor=OPERATOR)

    run_in_container(run)


@users.command("list")
def list_users() -> None:
    """Print all users and what they store."""

    async def run(container: Container) -> None:
        click.echo(_COLUMNS.format(id="id", email="email", images="images", bytes="bytes", state="state"))
        cursor = None
        while True:
            found, cursor = await container.services.user_administration.page(cursor=cursor, limit=_PAGE)
            for user in found:
                click.echo(_line(user))
            if cursor is None:
                return

    run_in_container(run)


@users.command()
@click.argument("user")
def show(user: str) -> None:
    """Print what is known about a user."""

    async def run(container: Container) -> None:
        details = await _find(container, user)
        account = details.account
        rows: dict[str, str | int | datetime | None] = {
            "id": details.id,
            "email": account.email if account else None,
            "name": account.display_name if account else None,
            "registered": account.created_at if account else None,
            "disabled": details.disabled_at,
            "being deleted": "yes" if details.is_closed else None,
            "images": details.usage.images,
            "bytes": details.usage.bytes,
        }
        for name, value in rows.items():
            if value is not None:
                click.echo(f"{name:14}{value}")

    run_in_container(run)


@users.command("reset-password")
@click.argument("user")
def reset_password(user: str) -> None:
    """Print a link, valid for a day, with which the user can choose a new password."""
    settings = read_settings()

    async def run(container: Container) -> None:
        details = await _find(container, user)
        if container.password_reset is None or details.account is None:
            raise click.ClickException("Firebase manages this account. Reset the password in the Firebase console.")
        token = container.password_reset.operator_token(details.account)
        click.echo(f"{settings.public_url}/#reset={token}" if settings.public_url else token)
        await container.services.audit.record("user.password_reset_link_created", actor=OPERATOR, owner_id=details.id)

    run_in_container(run)


@users.command()
@click.argument("user")
def disable(user: str) -> None:
    """Refuse sign-ins of a user, and end all sessions. The images are kept."""
    run_in_container(_administer(user, "user.disabled", lambda container, user_id: _admin(container).disable(user_id)))


@users.command()
@click.argument("user")
def enable(user: str) -> None:
    """Allow sign-ins of a disabled user again."""
    run_in_container(_administer(user, "user.enabled", lambda container, user_id: _admin(container).enable(user_id)))


@users.command()
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def delete(user: str, *, yes: bool) -> None:
    """Delete a user and everything the user owns. A running service does this in the background, within minutes."""

    async def run(container: Container) -> None:
        details = await _find(container, user)
        if not yes:
            click.confirm(f"Delete {details.id} and {details.usage.images} images?", abort=True)
        job = await _admin(container).delete(details.id)
        await container.services.audit.record("account.closed", actor=OPERATOR, owner_id=details.id, target=job.id)
        click.echo(f"The account is closed. Job {job.id} deletes the data.")

    run_in_container(run)


def _administer(
    user: str, action: str, change: Callable[[Container, str], Awaitable[None]]
) -> Callable[[Container], Awaitable[None]]:
    async def run(container: Container) -> None:
        details = await _find(container, user)
        if details.account is None:
            raise click.ClickException("Firebase manages this account. Disable it in the Firebase console.")
        await change(container, details.id)
        await container.services.audit.record(action, actor=OPERATOR, owner_id=details.id)

    return run


def _admin(container: Container) -> UserAdministration:
    return container.services.user_administration


async def _find(container: Container, user: str) -> UserDetails:
    """Raises UserMissing."""
    if "@" not in user:
        return await container.services.user_administration.get(user)
    account = await container.password_reset.find_account(user) if container.password_reset else None
    if account is None:
        raise UserMissing(f"There is no account with the address {user}.")
    return await container.services.user_administration.get(account.id)


def _line(user: UserDetails) -> str:
    state = "being deleted" if user.is_closed else "disabled" if user.disabled_at else ""
    email = user.account.email if user.account else "-"
    return _COLUMNS.format(
        id=user.id, email=email, images=user.usage.images, bytes=user.usage.bytes, state=state
    ).rstrip()
