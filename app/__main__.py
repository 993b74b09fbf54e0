"""`python -m app`: the command line of the service."""

from app.cli import cli

cli()
