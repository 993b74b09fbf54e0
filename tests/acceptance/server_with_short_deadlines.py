"""Runs the service with deadlines and limits from the command line, as JSON, so that tests need not wait for long."""

from __future__ import annotations

import functools
import json
import sys

import uvicorn

from app.api.app import create_app
from app.api.middleware import BodyDeadline
from app.api.upload_slots import UploadSlots
from app.connections import ConnectionLimits, LimitedProtocol
from app.container.container import open_services
from app.startup import configure

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    settings = configure()
    app = create_app(
        settings,
        functools.partial(open_services, settings),
        body_deadline=BodyDeadline(**given.get("body", {})),
    )
    app.state.upload_slots = UploadSlots(**given.get("uploads", {}))
    limits = ConnectionLimits(**given.get("connections", {}))
    uvicorn.run(
        app,
        host="0.0.0.0",  # noqa: S104 - tests connect from several loopback addresses
        port=settings.port,
        http=functools.partial(LimitedProtocol, limits=limits),  # type: ignore[arg-type]
        log_config=None,
    )
