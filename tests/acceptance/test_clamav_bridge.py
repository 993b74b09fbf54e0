"""The scanner in examples/clamav, with a server that speaks the protocol of clamd."""

from __future__ import annotations

import os
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import ROOT
from tests.aws_emulators import free_port

VIRUS = b"a virus"


class Clamd(socketserver.StreamRequestHandler):
    """INSTREAM: each chunk has its length before it, and one without bytes is the last."""

    def handle(self) -> None:
        assert self.rfile.read(10) == b"zINSTREAM\0"
        content = b""
        while length := struct.unpack("!I", self.rfile.read(4))[0]:
            content += self.rfile.read(length)
        if len(content) > 1_000_000:
            self.wfile.write(b"INSTREAM size limit exceeded. ERROR\0")
        else:
            self.wfile.write(b"stream: Test-Virus FOUND\0" if VIRUS in content else b"stream: OK\0")


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def scan(tmp_path: Path) -> Iterator[Any]:
    """Return a function that has the bridge scan a file with the given content."""

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            pass

    with (
        serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Clamd)) as clamd,
        serving(ThreadingHTTPServer(("127.0.0.1", 0), Files)) as files,
    ):
        port, prefix = free_port(), f"http://127.0.0.1:{files}/"
        environment = {
            **os.environ,
            "PORT": str(port),
            "CLAMD": f"127.0.0.1:{clamd}",
            "IMAGE_URL_PREFIX": prefix,
        }
        process = subprocess.Popen([sys.executable, ROOT / "examples/clamav/bridge.py"], env=environment)

        def scan_content(content: bytes, *, url: str = f"{prefix}image") -> httpx.Response:
            (tmp_path / "image").write_bytes(content)
            return httpx.post(f"http://127.0.0.1:{port}/", json={"url": url}, timeout=60)

        try:
            wait_until_listening(port, process)
            yield scan_content
        finally:
            process.terminate()
            process.wait(60)


def wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=60)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(process.returncode)


def test_clamd_decides(scan: Any):
    assert scan(b"an image").json() == {"verdict": "accept"}
    assert scan(b"an image with " + VIRUS).json() == {"verdict": "reject", "reason": "Test-Virus"}
    assert scan(b"x" * 1_000_001).status_code == 503
    assert scan(b"an image", url="http://127.0.0.1:1/image").status_code == 503
    assert scan(b"an image", url="file:///etc/passwd").status_code == 503
