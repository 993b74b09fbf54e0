"""Applies to every request: a request id, one log line, limits on the body, and a response to unexpected errors."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.draining import has_body
from app.api.errors import problem_response
from app.api.hosts import HEALTH_PATHS
from app.api.router import API_PREFIX
from app.api.services import Services
from app.domain.errors import AppError, Internal, Overloaded, RequestMalformed, TooManyConnections
from app.domain.ids import new_id

MAX_BODY_BYTES = 64 * 1024
"""The limit for every request, unless its route raises it with `allow_body`."""

_TOKEN_IN_PATH = re.compile(r"(/renditions/[^/]*|/shared|^/s)/[^/]+")
"""Tokens of renditions and shares, which must not be logged."""
_FINISH_SECONDS = 20
_ERRORS = 400
"""Statuses from this one on."""
_CLIENT_CLOSED_REQUEST = 499
"""Only logged, as nginx does: the client disconnected and receives no response."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DEFAULT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_log = structlog.stdlib.get_logger("app.request")


@dataclass(frozen=True, slots=True)
class BodyDeadline:
    """A body must arrive within `grace_seconds`, plus the time that it takes at `min_bytes_per_second`."""

    grace_seconds: float = 60
    min_bytes_per_second: int = 16 * 1024

    def seconds_for(self, received_bytes: int) -> float:
        return self.grace_seconds + received_bytes / self.min_bytes_per_second


def allow_body(scope: Scope, *, max_bytes: int) -> None:
    """Set the limit for the body of this request."""
    scope["max_body_bytes"] = max_bytes


class InFlightRequests:
    """The requests that are being processed."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    @contextmanager
    def running(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - every request is handled in a task
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    async def finish(self) -> None:
        """Wait until all requests have ended, for a limited time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FINISH_SECONDS)


class ServerErrorMiddleware:
    """Responds to uncaught exceptions. It is inside the CORS middleware, so that a page can read the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response_started = False

        async def tracked_send(message: Message) -> None:
            nonlocal response_started
            response_started = True
            await send(message)

        try:
            await self._app(scope, receive, tracked_send)
        except ClientDisconnect:
            raise
        except Exception:
            if scope["type"] != "http":
                raise
            _log.exception("request.failed")
            if not response_started:
                await problem_response(Internal(), scope)(scope, receive, send)


def _find_refusal(scope: Scope) -> AppError | None:
    """Return the error of a request that no route may handle."""
    if scope["state"].get("connection_limit_exceeded"):
        return TooManyConnections()
    names = [name for name, _ in scope["headers"]]
    # Proxies and servers may read such requests differently.
    if b"transfer-encoding" in names and b"content-length" in names:
        return RequestMalformed("The request has both Content-Length and Transfer-Encoding. Send one of them.")
    if names.count(b"authorization") > 1:
        return RequestMalformed("The request has several Authorization headers. Send one.")
    return None


class RequestMiddleware:
    def __init__(self, app: ASGIApp, *, in_flight: InFlightRequests, body_deadline: BodyDeadline) -> None:
        self._app = app
        self._in_flight = in_flight
        self._body_deadline = body_deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client_request_id = Headers(scope=scope).get("x-request-id", "")
        request_id = client_request_id if _REQUEST_ID.fullmatch(client_request_id) else new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id), self._in_flight.running():
            context = _RequestContext(scope, receive, send, request_id, self._body_deadline)
            await context.run(self._app)


class _RequestContext:
    """One request and its response."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, body_deadline: BodyDeadline
    ) -> None:
        self._scope = scope
        self._body_deadline = body_deadline
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._method = scope["method"]
        self._started = time.perf_counter()
        self._bytes_in = 0
        self._bytes_out = 0
        self._status = 0
        self._body_pending = has_body(scope)
        self._is_encoded = Headers(scope=scope).get("content-encoding", "identity").lower() != "identity"
        # In other requests, only a streaming response receives, to notice that the client has disconnected.
        self._route_reads_body = scope["method"] not in ("GET", "HEAD")
        scope["max_body_bytes"] = MAX_BODY_BYTES

    async def run(self, app: ASGIApp) -> None:
        try:
            if refusal := _find_refusal(self._scope):
                response = problem_response(refusal, self._scope)
                response.headers["Connection"] = "close"
                await response(self._scope, self._receive, self.send)
            else:
                await app(self._scope, self.receive, self.send)
        except ClientDisconnect:
            self._status = _CLIENT_CLOSED_REQUEST
        except asyncio.CancelledError:
            # The grace period of a shutdown has ended. The client gets a response, and the request ends normally.
            if not self._status:
                stopping = Overloaded("The service is shutting down. Try again shortly.")
                await problem_response(stopping, self._scope)(self._scope, self._receive, self.send)
        finally:
            self._count()
            self._log_completion()

    def _log_completion(self) -> None:
        # Probes are repeated every few seconds. Their lines would hide the others.
        if self._scope["path"].startswith(HEALTH_PATHS) and self._status < _ERRORS:
            return
        _log.info(
            "request.completed",
            method=self._method,
            path=_without_token(self._scope["path"]),
            status=self._status,
            duration_ms=round(self._elapsed() * 1000, 1),
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
        )

    def _count(self) -> None:
        services: Services = self._scope["app"].state.services
        route = getattr(self._scope.get("route"), "path", "other").removeprefix(API_PREFIX)
        services.metrics.count_request(method=self._method, route=route, status=self._status, seconds=self._elapsed())

    def _elapsed(self) -> float:
        return time.perf_counter() - self._started

    async def receive(self) -> Message:
        message = await self._receive_in_time()
        if message["type"] == "http.request":
            self._bytes_in += len(message.get("body", b""))
            self._body_pending = message.get("more_body", False)
            if self._is_encoded and self._bytes_in and self._route_reads_body:
                raise HTTPException(415)
            if self._bytes_in > self._scope["max_body_bytes"]:
                if not self._route_reads_body:
                    await asyncio.Future()  # the rest stays unread while the response is being streamed
                raise HTTPException(413)
        return message

    async def _receive_in_time(self) -> Message:
        if not self._body_pending or not self._route_reads_body:
            return await self._receive()  # the wait for the client to disconnect
        # Without a minimum rate, a client could occupy a connection and a temporary file for as long as it likes.
        left = self._body_deadline.seconds_for(self._bytes_in) - self._elapsed()
        try:
            async with asyncio.timeout(left):
                return await self._receive()
        except TimeoutError:
            raise HTTPException(408) from None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            for name, value in _DEFAULT_HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "http.response.body":
            self._bytes_out += len(message.get("body", b""))
        await self._send(message)


def _without_token(path: str) -> str:
    return _TOKEN_IN_PATH.sub(r"\1", path)
