"""The web application: `python main.py` or `uvicorn main:app`."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Nearly all objects that are created during the start live as long as the process: collections would find no garbage.
gc.disable()
# Otherwise pydantic would read the metadata of all installed packages to find plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from app.api.app import create_app
from app.api.services import Services
from app.container.container import open_services
from app.startup import configure


@asynccontextmanager
async def _open_services() -> AsyncIterator[Services]:
    async with open_services(_settings) as services:
        gc.freeze()  # Later collections do not visit the objects that exist now.
        gc.enable()
        yield services


_settings = configure()
app = create_app(_settings, _open_services)

if __name__ == "__main__":
    from app.server import run_server  # not needed by `uvicorn main:app`

    run_server(app, _settings)
