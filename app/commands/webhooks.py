"""`python -m app webhooks`: the endpoints to which the service sends events."""

from __future__ import annotations

import click

from app.commands.containers import run_in_container
from app.container.use_cases import Container
from app.domain.events import EventType
from app.services.audit import OPERATOR

_PAGE = 100


@click.group()
def webhooks() -> None:
    """Manage the endpoints to which the service sends events."""


@webhooks.command()
@click.argument("url")
@click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice([event.value for event in EventType]),
    help="An event that is sent to the endpoint. May be repeated. By default, all events are sent.",
)
def create(url: str, events: tuple[str, ...]) -> None:
    """Register an endpoint, and print its id and its secret, which cannot be shown again."""

    async def run(container: Container) -> None:
        endpoint = await container.services.webhooks.create(url, [EventType(event) for event in events or EventType])
        await container.services.audit.record("webhook.created", actor=OPERATOR, target=endpoint.id)
        click.echo(f"{endpoint.id}  {endpoint.secret}")

    run_in_container(run)


@webhooks.command("list")
def list_webhooks() -> None:
    """Print all endpoints, without their secrets."""

    async def run(container: Container) -> None:
        for endpoint in await container.services.webhooks.endpoints():
            state = f"disabled {endpoint.disabled_at:%Y-%m-%d}" if endpoint.disabled_at else "enabled"
            click.echo(f"{endpoint.id}  {state:19}  {endpoint.url}  {','.join(endpoint.event_types)}")

    run_in_container(run)


@webhooks.command()
@click.argument("webhook_id")
def disable(webhook_id: str) -> None:
    """Stop sending events to an endpoint. Running processes stop within seconds."""
    _change(webhook_id, disabled=True)


@webhooks.command()
@click.argument("webhook_id")
def enable(webhook_id: str) -> None:
    """Send events to an endpoint again. Events that happened while it was disabled are not sent."""
    _change(webhook_id, disabled=False)


@webhooks.command()
@click.argument("webhook_id")
def rotate(webhook_id: str) -> None:
    """Replace the secret, and print the new one. The previous one is valid for 24 hours."""

    async def run(container: Container) -> None:
        endpoint = await container.services.webhooks.rotate_secret(webhook_id)
        await container.services.audit.record("webhook.secret_rotated", actor=OPERATOR, target=webhook_id)
        click.echo(endpoint.secret)

    run_in_container(run)


@webhooks.command()
@click.argument("webhook_id")
def delete(webhook_id: str) -> None:
    """Remove an endpoint and its deliveries."""

    async def run(container: Container) -> None:
        await container.services.webhooks.remove(webhook_id)
        await container.services.audit.record("webhook.deleted", actor=OPERATOR, target=webhook_id)

    run_in_container(run)


@webhooks.command()
@click.argument("webhook_id")
def deliveries(webhook_id: str) -> None:
    """Print the deliveries to an endpoint, newest first."""

    async def run(container: Container) -> None:
        cursor = None
        while True:
            page, cursor = await container.services.webhooks.deliveries(webhook_id, cursor=cursor, limit=_PAGE)
            for delivery in page:
                job, event = delivery.job, delivery.event
                detail = job.error.detail if job.error else ""
                click.echo(f"{job.id}  {job.status:9}  {job.attempts}  {event.type if event else '-'}  {detail}")
            if cursor is None:
                return

    run_in_container(run)


@webhooks.command()
@click.argument("webhook_id")
@click.argument("delivery_id")
def redeliver(webhook_id: str, delivery_id: str) -> None:
    """Deliver the event of a delivery again. With QUEUE=local, this takes up to a minute."""

    async def run(container: Container) -> None:
        delivery = await container.services.webhooks.redeliver(webhook_id, delivery_id)
        await container.services.audit.record("webhook.redelivered", actor=OPERATOR, target=delivery.job.id)
        click.echo(delivery.job.id)

    run_in_container(run)


def _change(webhook_id: str, *, disabled: bool) -> None:
    async def run(container: Container) -> None:
        await container.services.webhooks.change(webhook_id, disabled=disabled)
        await container.services.audit.record("webhook.changed", actor=OPERATOR, target=webhook_id)

    run_in_container(run)
