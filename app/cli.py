"""The command line: `python -m app COMMAND`. Each module of app/commands has one command or one group of commands."""

from __future__ import annotations

import click

from app.commands.backup import backup, restore
from app.commands.doctor import doctor
from app.commands.keys import audit, keys
from app.commands.reconcile import reconcile
from app.commands.rerender import rerender
from app.commands.serve import serve
from app.commands.users import users
from app.commands.webhooks import webhooks
from app.commands.worker import worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The image upload service. Settings come from environment variables and .env; see .env.example."""


cli.add_command(serve)
cli.add_command(worker)
cli.add_command(reconcile)
cli.add_command(users)
cli.add_command(keys)
cli.add_command(webhooks)
cli.add_command(audit)
cli.add_command(backup)
cli.add_command(restore)
cli.add_command(doctor)
cli.add_command(rerender)
