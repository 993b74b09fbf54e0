"""Runs a command with the services of the program, beside a service that may be running."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import click

from app.container.container import open_container
from app.container.use_cases import Container
from app.domain.errors import AppError
from app.startup import configure


def run_in_container(command: Callable[[Container], Awaitable[None]]) -> None:
    """Raises click.ClickException, which prints a message, if the command raises an AppError."""
    settings = configure()

    async def run() -> None:
        async with open_container(settings, serves=False) as container:
            try:
                await command(container)
            except AppError as error:
                raise click.ClickException(error.detail) from None

    asyncio.run(run())
