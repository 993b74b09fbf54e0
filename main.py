"""The web application: `python main.py` or `uvicorn main:app`."""

from __future__ import annotations

import functools

from app.api.app import create_app
from app.container.container import open_services
from app.startup import configure

_settings = configure()
app = create_app(_settings, functools.partial(open_services, _settings))

if __name__ == "__main__":
    from app.server import run_server  # not needed by `uvicorn main:app`

    run_server(app, _settings)
