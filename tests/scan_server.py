"""A scanner on a local port that decides as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACCEPT: tuple[int, dict[str, Any]] = 200, {"verdict": "accept"}


@dataclass
class ScanServer:
    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    decide: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]] = lambda _request: ACCEPT
    """Returns the status and the body of a response."""


@contextmanager
def scan_server() -> Iterator[ScanServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, body = scanner.decide(request)
            scanner.requests.append(request)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    scanner = ScanServer(f"http://127.0.0.1:{server.server_port}/scan")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield scanner
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
