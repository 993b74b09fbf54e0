"""A server that receives webhooks on a local port and verifies them with the library of Standard Webhooks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass
class Received:
    id: str
    body: dict[str, Any]
    status: int
    """The status of the response."""
    verified_by: list[str]
    """The secrets that verify it."""


@dataclass
class WebhookReceiver:
    url: str
    secrets: list[str] = field(default_factory=list)
    """The secrets that requests are verified with."""
    status_of: Callable[[str], int] = lambda _event_id: 204
    """The status of the response to an event."""
    received: list[Received] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def delivered(self, event_type: str | None = None) -> list[Received]:
        """Return the requests that had a successful response."""
        with self.lock:
            found = list(self.received)
        return [r for r in found if r.status < 300 and event_type in (None, r.body["type"])]

    def receive(self, headers: dict[str, str], body: bytes) -> int:
        verified = [secret for secret in self.secrets if _verify(secret, headers, body)]
        event_id = headers.get("webhook-id", "")
        status = self.status_of(event_id) if verified else 401
        content: dict[str, Any] = json.loads(body) if verified else {"type": "unverified"}
        with self.lock:
            self.received.append(Received(event_id, content, status, verified))
        return status


def _verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


@contextmanager
def webhook_receiver() -> Iterator[WebhookReceiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.receive(headers, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = WebhookReceiver(f"http://127.0.0.1:{server.server_port}/hooks")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
