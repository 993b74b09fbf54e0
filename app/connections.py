"""The HTTP protocol of the server: that of uvicorn, with a deadline for headers and limits on connections.

`python -m app serve` uses it. uvicorn's own command uses it with `--http app.connections:LimitedProtocol`.
"""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import h11
import structlog
from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from app.api.errors import MEDIA_TYPE, problem_body
from app.domain.addresses import throttling_key
from app.domain.errors import AppError, RequestTimeout
from app.domain.ids import new_id

_log = structlog.stdlib.get_logger(__name__)


_LOG_SECONDS = 60


def _half_of_descriptors() -> int:
    # The other half is for the files of uploads, connections to the stores, and render processes.
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    header_seconds: float = 10
    """How long a client may take to send its request line and headers, counted from the connection, or from the first
    byte of a later request."""
    per_address: int = 256
    """The connections of one network address. Those of trusted proxies are not limited."""
    total: int = field(default_factory=_half_of_descriptors)
    """The connections of all addresses that are not trusted proxies."""


class Connections:
    """The limited connections of one server: those that do not come from a trusted proxy."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.by_address: Counter[str] = Counter()
        self.waiting: dict[LimitedProtocol, None] = {}
        """The connections on which no request is in progress, in the order in which their wait began."""
        self._next_log = 0.0

    def exceeded_limit(self, address: str) -> str | None:
        """Return the limit that another connection of this address exceeds: `address`, `total` or None."""
        if self.by_address[address] >= self.limits.per_address:
            return "address"
        return "total" if self.by_address.total() >= self.limits.total else None

    def oldest_waiting(self, address: str | None) -> LimitedProtocol | None:
        """Return the connection, of this address or of any, on which no request has been in progress for longest."""
        return next((c for c in self.waiting if address in (None, c.address)), None)

    def log_limit(self, limit: str, address: str) -> None:
        """Log that a limit was exceeded, at most once per minute."""
        if time.monotonic() >= self._next_log:
            self._next_log = time.monotonic() + _LOG_SECONDS
            _log.warning("connections.limit_exceeded", limit=limit, address=address)


class LimitedProtocol(H11Protocol):
    """Ends connections whose headers do not arrive in time, and limits the number of connections.

    When a limit is reached, the oldest connection on which no request is in progress is closed in favor of the new one.
    If there is none, the application refuses the request of the new connection.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits | None = None,
    ) -> None:
        # uvicorn passes the same dictionary to all connections of a server, and copies it into each request's state.
        if "connections" not in app_state:
            app_state["connections"] = Connections(limits or ConnectionLimits())
        self._connections: Connections = app_state["connections"]
        self._deadline: asyncio.TimerHandle | None = None
        self._has_received = False
        self.address: str | None = None
        """The network address by which connections are counted. None for a trusted proxy, which has no limit."""
        super().__init__(config, server_state, app_state, _loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        host = self.client[0] if self.client else None
        if host is None or self._is_trusted_proxy(host):
            self.app_state = {**self.app_state, "trusted_proxy": host}
        else:
            self.address = throttling_key(host)
            self._make_room(self.address)
            self._connections.by_address[self.address] += 1
            self._connections.waiting[self] = None
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()
        if self.address is not None:
            self._connections.by_address[self.address] -= 1
            if not self._connections.by_address[self.address]:
                del self._connections.by_address[self.address]

    def data_received(self, data: bytes) -> None:
        self._has_received = True
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._deadline is None:
            self._start_deadline()

    def on_response_complete(self) -> None:
        self._has_received = False
        super().on_response_complete()
        # uvicorn's own time limit for idle connections applies until the next request begins.
        if self.conn.their_state is h11.IDLE and self.address is not None:
            self._connections.waiting[self] = None

    def _is_trusted_proxy(self, host: str) -> bool:
        app = self.config.loaded_app
        return isinstance(app, ProxyHeadersMiddleware) and host in app.trusted_hosts

    def _make_room(self, address: str) -> None:
        limit = self._connections.exceeded_limit(address)
        if limit is None:
            return
        self._connections.log_limit(limit, address)
        oldest = self._connections.oldest_waiting(address if limit == "address" else None)
        if oldest:
            oldest.end_wait()
        else:
            self.app_state = {**self.app_state, "connection_limit_exceeded": True}

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self._connections.limits.header_seconds, self.end_wait)

    def _stop_waiting(self) -> None:
        self._connections.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def end_wait(self) -> None:
        """Close the connection, on which no request is in progress. A client that has begun one gets a 408 response."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if self._has_received and self.conn.our_state is h11.IDLE:
            self._send_problem(RequestTimeout())
        self.transport.close()

    def _send_problem(self, error: AppError) -> None:
        body = json.dumps(problem_body(error, request_id=new_id(), base=self.root_path)).encode()
        headers = [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), ("Connection", "close")]
        response = h11.Response(status_code=error.status, headers=headers, reason=error.title.encode())
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
