"""Prepares requests for the router: HEAD, trailing slashes, and wrong methods on known paths."""

from __future__ import annotations

import functools

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import allow_header, problem_response
from app.domain.errors import MethodNotAllowed

_PREFIXES = ("/api/v1/", "/health/", "/metrics")
_OBJECTS = "/api/v1/objects/"
"""Served as files, whose responses handle HEAD by themselves. A slash at the end belongs to the key."""


class RoutingMiddleware:
    """Treats HEAD like GET without a body, ignores a slash at the end, and refuses wrong methods.

    Without it, `GET /images/upload` would be taken for the image `upload`, because that path has no GET route.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(_PREFIXES) or path.startswith(_OBJECTS):
            await self._app(scope, receive, send)
            return
        if path.endswith("/"):
            scope["path"] = path = path.rstrip("/")
        if scope["method"] == "HEAD":
            await self._handle_head(scope, receive, send)
            return
        await self._handle(scope, receive, send)

    async def _handle_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A copy, because the server must still see HEAD: it verifies that a response to GET has a complete body.
        scope["state"]["is_head"] = True
        get_scope = {**scope, "method": "GET"}
        try:
            await self._handle(get_scope, receive, _without_body(send))
        finally:
            scope["route"] = get_scope.get("route")

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = _literal_paths(scope["app"]).get(scope["path"])
        if allowed and scope["method"] not in (*allowed, "OPTIONS"):
            response = problem_response(MethodNotAllowed(), scope)
            response.headers["Allow"] = allow_header(allowed)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_head(request: Request) -> bool:
    """Return whether the request is a HEAD request, for which nothing may wait, stream or be rendered."""
    return getattr(request.state, "is_head", False)


@functools.cache
def _literal_paths(app: FastAPI) -> dict[str, set[str]]:
    """Return the methods of each path that has no parameters."""
    methods: dict[str, set[str]] = {}
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema and "{" not in route.path:
            methods.setdefault(route.path, set()).update(route.methods or ())
    return methods


def _without_body(send: Send) -> Send:
    async def send_headers(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_headers
