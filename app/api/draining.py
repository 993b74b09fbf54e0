"""Drains the connection after a response that is sent before the request body has arrived.

A server that closes a connection on which the client is still sending causes a TCP reset, and the client loses the
response. Reading and discarding the rest of the body first prevents that (RFC 9112 section 9.6).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SLOW_BODY_SECONDS = 5
_STOPPING_SECONDS = 1
_CHECK_SECONDS = 0.25

_log = structlog.stdlib.get_logger("app.request")


def has_body(scope: Scope) -> bool:
    """Return whether the request has a body, according to its headers."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


class DrainMiddleware:
    """Sends early responses in full, and withholds only the end of the response until the body has been drained.

    The server closes the connection once it has the end of the response. The client does not wait for that: it knows
    where the response ends by its Content-Length. A streaming response without a Content-Length is sent as usual, but
    its end reaches the client only once the body has been drained.

    This must be the outermost middleware, so that a request has released its resources and has been logged and counted
    before its connection is drained.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        is_stopping: Callable[[], bool],
        max_seconds: float = 30,
        max_connections: int = 64,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._is_stopping = is_stopping
        self._max_seconds = max_seconds
        self._max_connections = max_connections
        self._connections = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        await self._app(scope, exchange.receive, exchange.send)
        if not exchange.end_withheld:
            return
        # The server cancels the request if it is stopping and its grace period has ended.
        with suppress(asyncio.CancelledError):
            limit = await self._drain(receive, status=exchange.status)
            if limit:
                request_id = scope.get("state", {}).get("request_id")
                _log.info("request.not_drained", request_id=request_id, status=exchange.status, limit=limit)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self, receive: Receive, *, status: int) -> str | None:
        """Return None once the client has sent its whole body or has disconnected, otherwise the limit reached."""
        if self._connections >= self._max_connections:
            return "connections"
        self._connections += 1
        try:
            return await self._read_rest(receive, status=status)
        finally:
            self._connections -= 1

    async def _read_rest(self, receive: Receive, *, status: int) -> str | None:
        started = time.monotonic()
        drained = 0
        while drained <= self._max_bytes:
            if time.monotonic() - started > self._seconds(status):
                return "seconds"
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    message = await receive()
            except TimeoutError:
                continue
            if not message.get("more_body", False):
                return None
            drained += len(message.get("body", b""))
        return "bytes"

    def _seconds(self, status: int) -> float:
        if self._is_stopping():
            return min(_STOPPING_SECONDS, self._max_seconds)
        if status == 408:  # noqa: PLR2004
            # The time for the body has already passed. The client only needs time to read the response.
            return min(_SLOW_BODY_SECONDS, self._max_seconds)
        return self._max_seconds


class _Exchange:
    """A request and its response. It tracks whether the body is still arriving when the response ends."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._body_pending = has_body(scope)
        self.status = 0
        self.end_withheld = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._body_pending = message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._body_pending:
                MutableHeaders(scope=message)["Connection"] = "close"
        elif message["type"] == "http.response.body" and self._body_pending and not message.get("more_body", False):
            self.end_withheld = True
            message = {**message, "more_body": True}
        await self._send(message)
