"""Puts the web application together: middleware, routes, error shape and lifetimes."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import RedirectResponse

from app.api import auth, direct_uploads, health, images, local_objects
from app.api.errors import add_error_handlers
from app.api.middleware import Exchanges, FaultMiddleware, RequestMiddleware
from app.api.openapi import describe
from app.api.upload_form import UploadForm
from app.logs import configure_logs
from app.services import Services
from app.settings import Settings

VERSION = "0.1.0"
_DESCRIPTION = """Takes photos in safely, keeps them, makes thumbnails, and hands out URLs that an `<img>` can show.

Register or sign in under *accounts*, then send the access token with each request. Every error has the one shape
`Problem`; its `code` is stable.
"""

_log = structlog.stdlib.get_logger(__name__)


def create_app(
    settings: Settings, open_services: Callable[[Settings], AbstractAsyncContextManager[Services]]
) -> FastAPI:
    """Return the application; it opens its services when it is started and closes them when it stops."""
    configure_logs(level=settings.log_level, for_people=settings.logs_for_people)

    exchanges = Exchanges()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings) as services:
            app.state.services = services
            app.state.upload_form = UploadForm(services.spool, max_bytes=settings.max_file_size)
            _log.info("service.started", version=VERSION, backend=settings.backend, auth=settings.auth)
            yield
            # Requests that were cancelled at the end of the grace period still clean up after themselves.
            await exchanges.finish()
        _log.info("service.stopped")

    app = FastAPI(
        title="Image upload service",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    add_error_handlers(app)
    app.add_middleware(FaultMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "If-None-Match",
                "If-Range",
                "Range",
                "X-Request-ID",
            ],
            expose_headers=["Content-Disposition", "Content-Range", "ETag", "Retry-After", "X-Request-ID"],
            max_age=3600,
        )
    app.add_middleware(RequestMiddleware, exchanges=exchanges)
    _add_routes(app, serve_objects=settings.backend == "embedded")
    return app


def _add_routes(app: FastAPI, *, serve_objects: bool) -> None:
    api = APIRouter(prefix="/api/v1")
    api.include_router(auth.router)
    api.include_router(auth.own_router)
    api.include_router(direct_uploads.router)
    api.include_router(images.router)
    if serve_objects:
        api.include_router(local_objects.router)
    app.include_router(api)
    # Probes look at the root; the contract has everything under its prefix: both find it.
    app.include_router(health.router)
    app.include_router(health.router, prefix="/api/v1", include_in_schema=False)

    @app.get("/", include_in_schema=False)
    async def show_docs() -> RedirectResponse:
        return RedirectResponse("docs")

    description = functools.cache(lambda: describe(app))
    app.openapi = description  # type: ignore[method-assign]
