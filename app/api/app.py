"""Puts the web application together: middleware, routes, error shape and lifetimes."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app.api import auth, direct_uploads, health, images, jobs, local_objects, metrics
from app.api.errors import add_error_handlers
from app.api.events import Watchers
from app.api.middleware import Exchanges, FaultMiddleware, RequestMiddleware
from app.api.openapi import describe
from app.api.upload_form import UploadForm
from app.api.web import PageConfig, add_web_page
from app.core.bucket_address import locate_bucket
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
    watchers = Watchers()

    @asynccontextmanager
    async def jobs_done_here(services: Services) -> AsyncIterator[None]:
        if settings.backend != "embedded":
            yield  # by `python -m app.worker`, as many of them as it takes
            return
        async with services.background.running():
            yield

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings) as services, jobs_done_here(services):
            app.state.services = services
            app.state.upload_form = UploadForm(services.spool, max_bytes=settings.max_file_size)
            _log.info("service.started", version=VERSION, backend=settings.backend, auth=settings.auth)
            with watchers.stopped_by_signals():
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
    app.state.watchers = watchers
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
                "Last-Event-ID",
                "Prefer",
                "Range",
                "X-Request-ID",
            ],
            expose_headers=[
                "Content-Disposition",
                "Content-Range",
                "ETag",
                "Preference-Applied",
                "Retry-After",
                "X-Request-ID",
            ],
            max_age=3600,
        )
    app.add_middleware(RequestMiddleware, exchanges=exchanges)
    _add_routes(app, serve_objects=settings.backend == "embedded")
    add_web_page(app, config=_page_config(settings), store_origin=_store_origin(settings))
    return app


def _page_config(settings: Settings) -> PageConfig:
    return PageConfig(
        max_file_size=settings.max_file_size,
        max_direct_file_size=settings.max_direct_file_size,
        extensions=settings.allowed_extensions,
        content_types=sorted(settings.allowed_content_types),
    )


def _store_origin(settings: Settings) -> str | None:
    """Return where images come from, by the same rule by which their URLs are signed; None is this service itself."""
    if settings.backend == "embedded":
        return None
    region = settings.s3_region or settings.aws_default_region
    endpoint = settings.s3_presigned_url_endpoint or settings.localstack_endpoint_url
    return locate_bucket(settings.s3_bucket, region=region, endpoint_url=endpoint).origin


def _add_routes(app: FastAPI, *, serve_objects: bool) -> None:
    api = APIRouter(prefix="/api/v1")
    api.include_router(auth.router)
    api.include_router(auth.own_router)
    api.include_router(direct_uploads.router)
    api.include_router(images.router)
    api.include_router(jobs.router)
    if serve_objects:
        api.include_router(local_objects.router)
    app.include_router(api)
    # Probes look at the root; the contract has everything under its prefix: both find it.
    for router in (health.router, metrics.router):
        app.include_router(router)
        app.include_router(router, prefix="/api/v1", include_in_schema=False)

    description = functools.cache(lambda: describe(app))
    app.openapi = description  # type: ignore[method-assign]
