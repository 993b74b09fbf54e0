"""`python -m app serve`: the API and the gallery."""

from __future__ import annotations

import click

from app.server import run_server
from app.settings import read_settings


@click.command()
def serve() -> None:
    """Serve the API and the gallery. With a local queue, this process also runs the background jobs."""
    run_server("main:app", read_settings())
