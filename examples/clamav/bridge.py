# ruff: noqa: INP001 - a script, not a package
"""A scanner for SCAN_URL that has images scanned by ClamAV: a bridge from HTTP to clamd. It needs Python 3.11 only.

    IMAGE_URL_PREFIX=https://my-bucket.s3.eu-central-1.amazonaws.com/ CLAMD=127.0.0.1:3310 python bridge.py

Then set SCAN_URL=http://127.0.0.1:8090/ for the image service and its workers. IMAGE_URL_PREFIX is the beginning of
the signed URLs of the service: only such URLs are fetched. Without S3, it is PUBLIC_URL. The bridge has no
authentication, so only the workers should reach it. In clamd.conf, StreamMaxLength must be at least the largest size of
an upload.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST, PORT = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8090"))
CLAMD_HOST, CLAMD_PORT = os.environ.get("CLAMD", "127.0.0.1:3310").rsplit(":", 1)
URL_PREFIX = os.environ.get("IMAGE_URL_PREFIX", "")
TIMEOUT_SECONDS = 50
CHUNK_BYTES = 1 << 16
MAX_REQUEST_BYTES = 1 << 16


def scan(url: str) -> str | None:
    """Return the name of what clamd found in the file at `url`, or None. Raises OSError and RuntimeError."""
    if not url.startswith(URL_PREFIX):
        raise RuntimeError("the URL does not begin with IMAGE_URL_PREFIX")
    address = (CLAMD_HOST, int(CLAMD_PORT))
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as image,  # noqa: S310 - its beginning was checked
        socket.create_connection(address, timeout=TIMEOUT_SECONDS) as clamd,
    ):
        clamd.sendall(b"zINSTREAM\0")
        while chunk := image.read(CHUNK_BYTES):
            clamd.sendall(struct.pack("!I", len(chunk)) + chunk)
        clamd.sendall(struct.pack("!I", 0))
        response = b""
        while part := clamd.recv(1024):
            response += part
    text = response.rstrip(b"\0").decode().removeprefix("stream: ")
    if text == "OK":
        return None
    if text.endswith(" FOUND"):
        return text.removesuffix(" FOUND")
    raise RuntimeError(text or "clamd closed the connection")


class Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_SECONDS

    def do_POST(self) -> None:
        try:
            length = min(int(self.headers["Content-Length"]), MAX_REQUEST_BYTES)
            found = scan(json.loads(self.rfile.read(length))["url"])
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            # The service keeps the image pending and asks again.
            self.log_error("not scanned: %s", error)
            self.respond(503, {"error": str(error)})
            return
        self.respond(200, {"verdict": "reject", "reason": found} if found else {"verdict": "accept"})

    def respond(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    if not URL_PREFIX.startswith(("https://", "http://")):
        sys.exit("Set IMAGE_URL_PREFIX to the beginning of the signed URLs of the image service.")
    ThreadingHTTPServer((HOST, PORT), Handler).serve_forever()
