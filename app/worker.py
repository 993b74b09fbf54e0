"""The worker on its own: `python -m app.worker`; on the embedded backend the API does its work beside its own."""

from __future__ import annotations

import asyncio
import signal

import structlog

from app.logs import configure_logs
from app.settings import Settings, read_settings
from app.wiring import open_services

_log = structlog.stdlib.get_logger(__name__)


async def work(settings: Settings) -> None:
    """Do jobs in this process until it is told to end."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_services(settings) as services, services.background.running():
        with services.metrics.served(host=settings.host, port=settings.metrics_port):
            _log.info("worker.started", backend=settings.backend)
            await stop.wait()
    _log.info("worker.stopped")


def main() -> None:
    settings = read_settings()
    configure_logs(level=settings.log_level, for_people=settings.logs_for_people)
    asyncio.run(work(settings))


if __name__ == "__main__":
    main()
