"""Runs the web server for `python main.py` and `python -m app serve`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import uvicorn

from app.connections import LimitedProtocol
from app.settings import Settings


def run_server(app: Callable[..., Any] | str, settings: Settings) -> None:
    """Serve `app`, or the application with that import path, until the process is stopped."""
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        # It is based on h11. httptools, if installed, loses the body of requests that offer HTTP/2, as Java's
        # HttpClient does (https://github.com/Kludex/uvicorn/issues/2722), and does not limit the size of headers.
        http=LimitedProtocol,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=30,
    )
