"""`python -m app worker`: background jobs in a process of their own."""

from __future__ import annotations

import asyncio
import signal

import click
import structlog

from app.container.container import open_container
from app.settings import Settings
from app.startup import configure

_log = structlog.stdlib.get_logger(__name__)


@click.command()
def worker() -> None:
    """Run background jobs in this process until it is stopped. Needs QUEUE=sqs or another shared queue."""
    asyncio.run(_work(configure()))


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_container(settings) as container, container.worker.running():
        with container.services.metrics.served(host=settings.host, port=settings.metrics_port):
            _log.info("worker.started", backend=settings.backend)
            await stop.wait()
    _log.info("worker.stopped")
