"""Serves the pages of `app/web`, with headers that restrict them to their own files and the object store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.compressed_files import CompressedFiles
from app.api.services import Services

_FILES = Path(__file__).parent.parent / "web"
_FILE_HEADERS = {
    # Browsers revalidate on every load, so that an upgrade takes effect at once and for all files together.
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_REDOC_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
)
"""The inline styles of Redoc: an empty one, to which it adds rules, and that of its scroll bars."""
_PAGE_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def add_web_pages(app: FastAPI) -> None:
    """Serve the gallery at `/`, Swagger UI at `/docs`, Redoc at `/redoc`, and their files under `/web`."""
    files = CompressedFiles(_FILES)
    # A mount at the root would respond to every unknown path and method of the API.
    app.router.routes += [
        _page_route("/", _Page(files, "index.html", _gallery_policy)),
        _page_route("/docs", _Page(files, "docs/swagger.html", _swagger_policy)),
        _page_route("/redoc", _Page(files, "docs/redoc.html", _redoc_policy)),
        Mount("/web", _WithHeaders(files, _FILE_HEADERS)),
    ]


def _gallery_policy(store: str) -> dict[str, str]:
    return {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' data: blob: {store}",
        "connect-src": f"'self' {store}",
        "manifest-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def _swagger_policy(store: str) -> dict[str, str]:
    return {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' data: {store}",
        "connect-src": f"'self' {store}",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


def _redoc_policy(store: str) -> dict[str, str]:
    # The search of Redoc is a worker that it creates from its own script.
    return {**_swagger_policy(store), "style-src": f"'self' {_REDOC_STYLES}", "worker-src": "blob:"}


class _Page:
    """A page whose Content-Security-Policy depends on the origins of the object store."""

    def __init__(self, files: CompressedFiles, name: str, policy: Callable[[str], dict[str, str]]) -> None:
        self._files = files
        self._name = name
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["app"].state.services
        policy = self._policy(" ".join(services.store_origins))
        response = await self._files.get_response(self._name, scope)
        response.headers.update(_PAGE_HEADERS)
        response.headers["Content-Security-Policy"] = "; ".join(f"{n} {v}".rstrip() for n, v in policy.items())
        await response(scope, receive, send)


def _page_route(path: str, page: _Page) -> Route:
    return Route(path, _WithHeaders(page, _FILE_HEADERS), methods=["GET", "HEAD"], include_in_schema=False)


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
