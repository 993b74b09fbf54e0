"""Serves the gallery page of `app/web`, with headers that restrict it to its own files and the object store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.services import Services

_FILES = Path(__file__).parent.parent / "web"
_FILE_HEADERS = {
    # Browsers revalidate on every load, so that an upgrade takes effect at once and for all files together.
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class PageConfig:
    """What the page needs before a user has signed in."""

    max_file_size: int
    max_direct_file_size: int
    extensions: Sequence[str]
    content_types: Sequence[str]


def add_web_page(app: FastAPI, *, config: PageConfig) -> None:
    """Serve the page at `/`, and its files under `/web`."""
    files = StaticFiles(directory=_FILES)
    index = GZipMiddleware(_WithHeaders(_Index(files), _FILE_HEADERS))
    # A mount at the root would respond to every unknown path and method of the API.
    app.router.routes += [
        Route("/", index, methods=["GET", "HEAD"], include_in_schema=False),
        Route("/web/config.json", JSONResponse(asdict(config), headers=_FILE_HEADERS), include_in_schema=False),
        Mount("/web", GZipMiddleware(_WithHeaders(files, _FILE_HEADERS))),
    ]


def _page_headers(store_origin: str | None) -> dict[str, str]:
    store = f" {store_origin}" if store_origin else ""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' data: blob:{store}",
        "connect-src": f"'self'{store}",
        "manifest-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }


class _Index:
    def __init__(self, files: StaticFiles) -> None:
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["app"].state.services
        response = await self._files.get_response("index.html", scope)
        response.headers.update(_page_headers(services.store_origin))
        await response(scope, receive, send)


class _WithHeaders:
    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)
