"""Assembles the web application: middleware, routes, error format and lifetimes."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from fastapi import FastAPI

from app import __version__
from app.api.cors import LoggingCORSMiddleware
from app.api.draining import DrainMiddleware
from app.api.errors import add_error_handlers
from app.api.events import Watchers
from app.api.hosts import HostMiddleware, PublicUrlMiddleware
from app.api.middleware import BodyDeadline, InFlightRequests, RequestMiddleware, ServerErrorMiddleware
from app.api.openapi import describe
from app.api.problem_pages import add_problem_pages
from app.api.router import API_PREFIX
from app.api.routes import (
    accounts,
    admin,
    direct_uploads,
    health,
    image_lists,
    images,
    jobs,
    limits,
    metrics,
    objects,
    renditions,
    sessions,
    shared,
    shares,
    tus,
    webhooks,
)
from app.api.routing import RoutingMiddleware
from app.api.schemas.accounts import LimitView
from app.api.schemas.limits import DIRECT_UPLOAD_FROM, RESUMABLE_UPLOAD_FROM, LimitsView
from app.api.services import Services
from app.api.share_page import add_share_page
from app.api.tracing import TracingMiddleware
from app.api.upload_form import UploadForm
from app.api.upload_slots import UploadSlots
from app.api.web import add_web_pages
from app.settings import Settings

_MAX_DRAINED_BEYOND_FILE = 64 * 1024 * 1024
_DESCRIPTION = """Accepts photo uploads, stores them durably, generates thumbnails, and serves them through signed URLs.

Register or sign in under *accounts*, then send the access token with each request. All errors have the format
`Problem`; their `code` is stable.
"""
EXPOSED_HEADERS = (
    "Content-Disposition",
    "Content-Location",
    "Content-Range",
    "ETag",
    "Location",
    "Preference-Applied",
    "Retry-After",
    "Tus-Checksum-Algorithm",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-Request-ID",
)
"""Response headers that scripts of other origins may read."""

_BODY_DEADLINE = BodyDeadline()

_log = structlog.stdlib.get_logger(__name__)


def create_app(
    settings: Settings,
    services: Callable[[], AbstractAsyncContextManager[Services]],
    *,
    body_deadline: BodyDeadline = _BODY_DEADLINE,
    can_stream: bool = True,
    max_request_size: int | None = None,
) -> FastAPI:
    """Return the application. It opens its services when it starts and closes them when it stops.

    Without `can_stream`, event streams end after the current state, for servers that send only complete responses.
    `max_request_size` tells clients which bodies the server accepts, in bytes.
    """
    in_flight, watchers = InFlightRequests(), Watchers(can_stream=can_stream)
    app = FastAPI(
        title="Image upload service",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=_lifespan(settings, services, in_flight, watchers),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # FastAPI's own spans contain the path and the query, which are those of signed URLs. See app.api.tracing.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.watchers = watchers
    app.state.upload_slots = UploadSlots()
    add_error_handlers(app)
    _add_middleware(app, settings, in_flight, watchers, body_deadline)
    _add_routes(app, serve_objects=settings.storage == "disk", public_url=settings.public_url)
    app.state.limits = _limits(settings, max_request_size=max_request_size)
    add_web_pages(app)
    add_problem_pages(app)
    add_share_page(app)
    return app


def _limits(settings: Settings, *, max_request_size: int | None) -> LimitsView:
    return LimitsView(
        max_file_size=settings.max_file_size,
        max_direct_file_size=settings.max_direct_file_size,
        direct_upload_from=min(DIRECT_UPLOAD_FROM, settings.max_file_size),
        resumable_upload_from=min(RESUMABLE_UPLOAD_FROM, settings.max_file_size),
        max_request_size=max_request_size,
        content_types=sorted(settings.allowed_content_types),
        extensions=list(settings.allowed_extensions),
        max_pixels=settings.max_pixels,
        max_frames=settings.max_frames,
        thumbnail_sizes=list(settings.thumbnail_sizes),
        rendition_sizes=list(settings.rendition_sizes),
        quota=LimitView(images=settings.user_quota_images or None, bytes=settings.user_quota_bytes or None),
        has_local_accounts=settings.auth == "local",
        can_reset_password=settings.auth == "local" and settings.smtp_url is not None,
    )


def _lifespan(
    settings: Settings,
    services: Callable[[], AbstractAsyncContextManager[Services]],
    in_flight: InFlightRequests,
    watchers: Watchers,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with services() as opened:
            app.state.services = opened
            app.state.upload_form = UploadForm(opened.temp_files, max_bytes=settings.max_file_size)
            _log.info("service.started", version=__version__, backend=settings.backend, auth=settings.auth)
            with watchers.stopped_by_signals():
                yield
            # Requests that were canceled at the end of the grace period still delete what they have stored.
            await in_flight.finish()
        _log.info("service.stopped")

    return lifespan


def _add_middleware(
    app: FastAPI,
    settings: Settings,
    in_flight: InFlightRequests,
    watchers: Watchers,
    body_deadline: BodyDeadline,
) -> None:
    """Add the middleware, the innermost first."""
    app.add_middleware(RoutingMiddleware)
    if not settings.public_url:
        app.add_middleware(HostMiddleware, allowed=settings.allowed_hosts)
    app.add_middleware(ServerErrorMiddleware)
    app.add_middleware(
        LoggingCORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        # There are no cookies, so a request with any header can do no more than one with a token.
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
        max_age=3600,
    )
    app.add_middleware(RequestMiddleware, in_flight=in_flight, body_deadline=body_deadline)
    if settings.otel_exporter_otlp_endpoint:
        app.add_middleware(TracingMiddleware)
    app.add_middleware(
        DrainMiddleware,
        max_bytes=settings.max_file_size + _MAX_DRAINED_BEYOND_FILE,
        is_stopping=lambda: watchers.stopping,
    )
    if settings.public_url:
        app.add_middleware(PublicUrlMiddleware, public_url=settings.public_url)


def _add_routes(app: FastAPI, *, serve_objects: bool, public_url: str | None) -> None:
    routers = [
        accounts.public_router,
        sessions.public_router,
        limits.router,
        accounts.router,
        sessions.router,
        admin.router,
        webhooks.router,
        direct_uploads.router,
        tus.public_router,
        tus.router,
        image_lists.router,
        images.router,
        shares.router,
        shared.router,
        jobs.router,
        *[objects.router] * serve_objects,
        renditions.router,
        health.router,
        metrics.router,
    ]
    for router in routers:
        app.router.routes += router.routes
    # Probes and scrapers expect these paths at the root, but they can also be reached under the prefix of the API.
    for router in (health.router, metrics.router):
        app.include_router(router, prefix=API_PREFIX, include_in_schema=False)

    description = functools.cache(lambda: describe(app, public_url=public_url))
    app.openapi = description  # type: ignore[method-assign]
