"""Decides the base of the absolute URLs in responses: PUBLIC_URL, or the host of the request if it can be trusted."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import problem_response
from app.domain.addresses import is_loopback
from app.domain.errors import HostNotAllowed

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]]+)(?::\d*)?")
HEALTH_PATHS = ("/health/", "/api/v1/health/")
_OPERATIONS = (*HEALTH_PATHS, "/metrics", "/api/v1/metrics")
"""Probes and scrapers address a machine, and their responses contain no URLs."""
_MAX_LOGGED_HOSTS = 100

_log = structlog.stdlib.get_logger("app.hosts")


class PublicUrlMiddleware:
    """Makes every request look as if it had been sent to PUBLIC_URL, so that `Request.base_url` is that URL.

    The proxy in front of the service removes the path of PUBLIC_URL, so the path of the request does not change.
    """

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self._app = app
        self._public_url = public_url
        self._parts = urlsplit(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["scheme"] = self._parts.scheme
            scope["app_root_path"] = self._parts.path
            scope["public_url"] = self._public_url
            MutableHeaders(scope=scope)["Host"] = self._parts.netloc
        await self._app(scope, receive, send)


class HostMiddleware:
    """Refuses requests to hosts other than this machine and `allowed`.

    Otherwise the URLs in a response, which may be cached or sent to others, would contain any host that a client sent.
    """

    def __init__(self, app: ASGIApp, *, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = frozenset(allowed)
        self._logged: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_allowed(scope):
            await self._app(scope, receive, send)
            return
        host = _host_of(scope)[:200]
        if host not in self._logged and len(self._logged) < _MAX_LOGGED_HOSTS:
            self._logged.add(host)
            _log.warning("host.refused", host=host, settings="PUBLIC_URL, ALLOWED_HOSTS")
        await problem_response(HostNotAllowed(), scope)(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        if "public_url" in scope or scope["path"].removeprefix(scope.get("root_path", "")).startswith(_OPERATIONS):
            return True
        matched = _HOST.fullmatch(_host_of(scope))
        if not matched:
            return False
        name = matched[1].lower().removesuffix(".")
        return name in self._allowed or is_loopback(name)


def _host_of(scope: Scope) -> str:
    """Return the Host header. Without it, which HTTP/1.0 allows, URLs contain the address of the server."""
    server, _ = scope.get("server") or ("localhost", None)
    return Headers(scope=scope).get("host", server)
