"""The service: `python main.py`, or `uvicorn main:app`."""

from __future__ import annotations

import uvicorn

from app.api.app import create_app
from app.settings import read_settings
from app.wiring import open_services

_settings = read_settings()
app = create_app(_settings, open_services)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host=_settings.host,
        port=_settings.port,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=30,
    )
