"""A model of a Lambda execution environment: the Runtime API, a read-only file system, and a process that is frozen.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

# Only /tmp can be written to, and there is no shared memory.
READ_ONLY = (
    "mount --options remount,bind,ro / && mount --types tmpfs tmpfs /tmp && "
    'mount --types tmpfs --options ro,mode=000 tmpfs /dev/shm && exec "$@"'
)
_SECONDS = 600


@dataclass
class Environment:
    """A process that runs a handler. It is stopped between invocations, as Lambda freezes it."""

    process: subprocess.Popen[bytes]
    events: queue.Queue[tuple[str, bytes]] = field(default_factory=queue.Queue)
    results: queue.Queue[Any] = field(default_factory=queue.Queue)

    def invoke(self, event: Mapping[str, Any]) -> Any:
        os.killpg(self.process.pid, signal.SIGCONT)
        self.events.put((str(uuid4()), json.dumps(event).encode()))
        deadline = time.monotonic() + _SECONDS
        while self.results.empty():
            assert self.process.poll() is None, "the process of the handler has ended"
            assert time.monotonic() < deadline, "the handler did not respond in time"
            time.sleep(0.05)
        kind, result = self.results.get()
        os.killpg(self.process.pid, signal.SIGSTOP)
        assert kind == "response", result
        return result


@contextmanager
def execution_environment(handler: str, variables: Mapping[str, str], *, root: Path) -> Iterator[Environment]:
    """Start the runtime client of AWS in a mount namespace of its own, which only root can create."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Api) as server:
        command = [sys.executable, "-m", "awslambdaric", handler]
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", *command],  # noqa: S607 - a system program
            cwd=root,
            env={**variables, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}"},
            start_new_session=True,
        )
        environment = _Api.environment = Environment(process)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield environment
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            server.shutdown()


class _Api(BaseHTTPRequestHandler):
    environment: Environment
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        while True:
            try:
                request_id, event = self.environment.events.get(timeout=1)
                break
            except queue.Empty:
                if self.environment.process.poll() is not None:
                    return
        deadline = int((time.time() + _SECONDS) * 1000)
        headers = {"Lambda-Runtime-Aws-Request-Id": request_id, "Lambda-Runtime-Deadline-Ms": str(deadline)}
        headers["Lambda-Runtime-Invoked-Function-Arn"] = "arn:aws:lambda:us-east-1:000000000000:function:api"
        self._respond(200, event, headers)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.environment.results.put((self.path.rpartition("/")[2], body))
        self._respond(202, b"{}", {})

    def _respond(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
