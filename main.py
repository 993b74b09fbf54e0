"""The web application: `python main.py` or `uvicorn main:app`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.api import first_import
from app.api.app import create_app
from app.api.services import Services
from app.container.container import open_services
from app.startup import configure


@asynccontextmanager
async def _open_services() -> AsyncIterator[Services]:
    async with open_services(_settings) as services:
        first_import.resume_garbage_collection()
        yield services


_settings = configure()
app = create_app(_settings, _open_services)

if __name__ == "__main__":
    from app.server import run_server  # not needed by `uvicorn main:app`

    run_server(app, _settings)
