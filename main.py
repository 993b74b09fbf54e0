"""The service: `python main.py`, or `uvicorn main:app`."""

from __future__ import annotations

import sys
from types import FrameType

import uvicorn

from app.api.app import create_app
from app.settings import read_settings
from app.wiring import open_services

_STARTUP_FAILED = 3

_settings = read_settings()
app = create_app(_settings, open_services)


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Streams of events would hold up the stop for as long as their jobs last.
        app.state.streams.stopping = True
        super().handle_exit(sig, frame)


def main() -> None:
    config = uvicorn.Config(
        app,
        host=_settings.host,
        port=_settings.port,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=30,
    )
    server = _Server(config)
    server.run()
    if not server.started:
        sys.exit(_STARTUP_FAILED)


if __name__ == "__main__":
    main()
