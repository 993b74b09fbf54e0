"""What holds for every request: its id, its one log line, the cap on its body, and an answer whatever happens."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import problem_response
from app.core.errors import Internal, Overloaded
from app.core.ids import new_id
from app.services import Services

MAX_BODY_BYTES = 64 * 1024
"""What a route takes unless it raises the cap for its own request with `allow_body`."""

_PATIENCE_SECONDS = 60
_LEAST_BYTES_A_SECOND = 16 * 1024
_FINISH_SECONDS = 20

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DEFAULT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_log = structlog.stdlib.get_logger("app.request")


def allow_body(scope: Scope, *, max_bytes: int) -> None:
    """Let the request of `scope` send up to `max_bytes`."""
    scope["max_body_bytes"] = max_bytes


class Exchanges:
    """The requests that are being answered."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    @contextmanager
    def running(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request is always handled by one
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    async def finish(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FINISH_SECONDS)


class FaultMiddleware:
    """Answers what nobody has caught; inside of CORS, so that a page can read that answer too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ClientDisconnect:
            raise
        except Exception:
            if scope["type"] != "http":
                raise
            _log.exception("request.failed")
            if not begun:
                await problem_response(Internal(), scope["state"]["request_id"])(scope, receive, send)


class RequestMiddleware:
    def __init__(self, app: ASGIApp, *, exchanges: Exchanges) -> None:
        self._app = app
        self._exchanges = exchanges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id), self._exchanges.running():
            await _Exchange(scope, receive, send, request_id).run(self._app)


class _Exchange:
    """One request and its answer, as they pass by."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._began = time.perf_counter()
        self._bytes_in = 0
        self._bytes_out = 0
        self._status = 0
        headers = Headers(scope=scope)
        self._body_pending = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        scope["max_body_bytes"] = MAX_BODY_BYTES

    async def run(self, app: ASGIApp) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except ClientDisconnect:
            self._status = 499  # nobody is there to be answered; the number is nginx's, for the log
        except asyncio.CancelledError:
            # The grace period of a stop is over: whoever is still there is told, and the request is over as well.
            if not self._status:
                stopping = Overloaded("The service is stopping. Try again in a moment.")
                await problem_response(stopping, self._request_id)(self._scope, self._receive, self.send)
        finally:
            self._count()
            _log.info(
                "request.completed",
                method=self._scope["method"],
                path=self._scope["path"],
                status=self._status,
                duration_ms=round(self._elapsed() * 1000, 1),
                bytes_in=self._bytes_in,
                bytes_out=self._bytes_out,
            )

    def _count(self) -> None:
        services: Services = self._scope["app"].state.services
        route = getattr(self._scope.get("route"), "path", "other")
        services.metrics.count_request(
            method=self._scope["method"], route=route, status=self._status, seconds=self._elapsed()
        )

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began

    async def receive(self) -> Message:
        message = await self._receive_in_time()
        if message["type"] == "http.request":
            self._bytes_in += len(message.get("body", b""))
            self._body_pending = message.get("more_body", False)
            if self._bytes_in > self._scope["max_body_bytes"]:
                raise HTTPException(413)
        return message

    async def _receive_in_time(self) -> Message:
        if not self._body_pending:
            return await self._receive()  # the wait for the client to go away
        # A body that trickles in would hold its place, and an upload its file, for as long as its sender likes.
        left = _PATIENCE_SECONDS + self._bytes_in / _LEAST_BYTES_A_SECOND - self._elapsed()
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
            if self._body_pending:
                # The rest of the body will not be read: without this it would be taken in only to be dropped.
                headers["Connection"] = "close"
        elif message["type"] == "http.response.body":
            self._bytes_out += len(message.get("body", b""))
        await self._send(message)
