"""The web application: `python main.py` or `uvicorn main:app`."""

from __future__ import annotations

import functools

from app.api.app import create_app
from app.container.container import open_services
from app.observability.logs import configure_logs
from app.settings import read_settings

_settings = read_settings()
configure_logs(level=_settings.log_level, as_text=_settings.logs_are_text)
app = create_app(_settings, functools.partial(open_services, _settings))

if __name__ == "__main__":
    from app.server import run_server  # not needed by `uvicorn main:app`

    run_server(app, _settings)
