"""Responses that are sent while the client is still sending: they arrive, and then the connection is drained.

Over sockets to a started process, with each HTTP implementation that uvicorn may choose.
"""

from __future__ import annotations

import select
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Running, environment_for, started, upload
from tests.clients.matrix import CASES, COUNT, CURL, FETCH, MAX_FILE_SIZE, SIZES, Case, outcomes
from tests.pictures import jpeg

MIB = 1024 * 1024
MAX_DRAINED = MAX_FILE_SIZE + 64 * MIB
MAX_CONNECTIONS = 64
SOCKET_BUFFERS = 32 * MIB
"""More than the kernel buffers of what a client sends and the service never reads."""
UPLOAD = "POST /api/v1/images/upload"
FORM = "Content-Type: multipart/form-data; boundary=x"


@contextmanager
def started_with(implementation: str, folder: Path) -> Iterator[Running]:
    environment = environment_for(folder, MAX_FILE_SIZE=str(MAX_FILE_SIZE), CORS_ORIGINS="https://app.example.com")
    uvicorn = ("-m", "uvicorn", "main:app", "--port", environment["PORT"], "--http", "httptools")
    commands = {"h11": ("main.py",), "httptools": uvicorn}
    with started(environment, command=commands[implementation]) as running:
        yield running


@pytest.fixture(scope="module", params=["h11", "httptools"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started_with(request.param, tmp_path_factory.mktemp("early") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def authorization(server: Running) -> str:
    return f"Authorization: {server.register()['Authorization']}"


@dataclass
class Connection:
    socket: socket.socket

    def request(self, line: str, *headers: str) -> None:
        self.socket.sendall("\r\n".join([f"{line} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode())

    def response(self, method: str = "POST") -> tuple[HTTPResponse, bytes]:
        response = HTTPResponse(self.socket, method=method)
        response.begin()
        return response, response.read()

    def has_ended(self, *, within_seconds: float) -> bool:
        """Return whether the server closes the connection in time and without a reset."""
        readable = select.select([self.socket], [], [], within_seconds)[0]
        return bool(readable) and self.socket.recv(1) == b""


@contextmanager
def connected(running: Running) -> Iterator[Connection]:
    url = httpx.URL(running.url)
    with socket.create_connection((url.host, url.port or 80), timeout=300) as opened:
        yield Connection(opened)


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@pytest.mark.parametrize(
    "line, headers, status",
    [
        (UPLOAD, [FORM], 401),
        (UPLOAD, [FORM, "{authorization}"], 413),
        (UPLOAD, ["Content-Type: text/plain", "{authorization}"], 415),
        ("POST /api/v1/objects", [FORM], 403),
        ("POST /api/v1/auth/register", ["Content-Type: application/json"], 413),
        ("POST /nowhere", [], 404),
        ("PUT /api/v1/images", [], 405),
        ("OPTIONS /api/v1/images", ["Origin: https://app.example.com", "Access-Control-Request-Method: POST"], 200),
        ("HEAD /health/live", [], 200),
        ("GET /", [], 200),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_response_arrives_while_the_body_is_sent(
    server: Running, authorization: str, line: str, headers: list[str], status: int, framing: str
):
    # The form is rejected immediately, because the required fields do not precede its file.
    first = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(3 * MIB)
    rest = bytes(8 * MIB)
    length = f"Content-Length: {len(first + rest)}"
    if framing == "chunked":
        length, first, rest = "Transfer-Encoding: chunked", chunk(first), chunk(rest) + b"0\r\n\r\n"
    method = line.partition(" ")[0]
    with connected(server) as connection:
        connection.request(line, length, *(header.format(authorization=authorization) for header in headers))
        connection.socket.sendall(first)
        response, content = connection.response(method)
        assert response.status == status
        assert response.headers["Connection"] == "close"
        assert (int(response.headers["Content-Length"]) == len(content)) or method == "HEAD"
        assert not connection.has_ended(within_seconds=0.1)
        connection.socket.sendall(rest)
        assert connection.has_ended(within_seconds=300)


def test_client_that_waits_for_100_receives_only_the_final_response(server: Running):
    with connected(server) as connection:
        connection.request(UPLOAD, FORM, "Content-Length: 1000000", "Expect: 100-continue")
        # HTTPResponse skips a 100 Continue response, so the test reads the first bytes itself.
        assert connection.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 401"
        connection.response()
        assert not connection.has_ended(within_seconds=0.1)


def test_disconnected_client_frees_its_draining_slot(server: Running):
    for _ in range(MAX_CONNECTIONS + 1):
        with connected(server) as connection:
            connection.request(UPLOAD, FORM, "Content-Length: 1000000", "Expect: 100-continue")
            connection.response()
    wait_until(lambda: is_drained(server))


def is_drained(server: Running) -> bool:
    with connected(server) as connection:
        connection.request(UPLOAD, FORM, "Content-Length: 1000000")
        connection.response()
        return not connection.has_ended(within_seconds=0.1)


def wait_until(condition: Callable[[], bool], *, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_more_connections_than_the_limit_are_drained(server: Running):
    wait_until(lambda: is_drained(server))
    with ExitStack() as stack:
        opened = [stack.enter_context(connected(server)) for _ in range(MAX_CONNECTIONS + 1)]
        for connection in opened:
            connection.request(UPLOAD, FORM, "Content-Length: 1000000")
            assert connection.response()[0].status == 401
        assert opened[-1].has_ended(within_seconds=300)
        assert not opened[-2].has_ended(within_seconds=0)
        opened[0].socket.sendall(bytes(1_000_000))
        assert opened[0].has_ended(within_seconds=300)
        wait_until(lambda: is_drained(server))


def test_no_more_bytes_than_the_limit_are_drained_and_none_are_kept_in_memory(server: Running):
    before = server.memory()
    with connected(server) as connection:
        connection.request(UPLOAD, FORM, f"Content-Length: {1024 * MIB}")
        connection.response()
        sent = 0
        with suppress(ConnectionResetError, BrokenPipeError):
            while sent <= MAX_DRAINED + SOCKET_BUFFERS:
                sent += connection.socket.send(bytes(MIB))
    assert MAX_DRAINED <= sent <= MAX_DRAINED + SOCKET_BUFFERS
    assert server.memory() - before < 16 * MIB


def test_event_stream_is_not_ended_by_a_request_body(server: Running):
    headers = server.register()
    with httpx.Client(base_url=server.url) as client:
        image_id = upload(client, headers, jpeg()).json()["id"]
    with connected(server) as connection:
        connection.request(
            f"GET /api/v1/images/{image_id}/events",
            f"Authorization: {headers['Authorization']}",
            f"Content-Length: {8 * MIB}",
        )
        connection.socket.sendall(bytes(8 * MIB))
        response, content = connection.response("GET")
        assert response.status == 200
        assert content.startswith(b"event: image")
        assert connection.has_ended(within_seconds=300)


def test_malformed_body_after_the_response_logs_no_stack_trace(server: Running):
    warnings = server.log.read_text().count("Invalid HTTP request")
    with connected(server) as connection:
        connection.request(UPLOAD, FORM, "Transfer-Encoding: chunked")
        connection.response()
        connection.socket.sendall(b"not a chunk\r\n")
        wait_until(lambda: server.log.read_text().count("Invalid HTTP request") > warnings)
        while connection.socket.recv(1024):
            pass
    log = server.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:5000]


@pytest.mark.parametrize("implementation", ["h11", "httptools"])
def test_draining_does_not_delay_the_shutdown(tmp_path: Path, implementation: str):
    with started_with(implementation, tmp_path / "data") as running, connected(running) as connection:
        connection.request(UPLOAD, FORM, "Content-Length: 1000000")
        connection.response()
        assert not connection.has_ended(within_seconds=0.1)
        running.process.terminate()
        running.process.wait(20)  # The limit is part of the test: draining alone takes up to 30 s.
    assert "Traceback" not in running.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("server", ["h11"], indirect=True)
@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.status))
def test_node_fetch_loses_no_response(server: Running, case: Case):
    lose_none(server, FETCH["Node fetch"], case)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["h11"], indirect=True)
@pytest.mark.parametrize("client", CURL)
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.status))
def test_curl_loses_no_response(server: Running, client: str, case: Case):
    lose_none(server, CURL[client], case)


def lose_none(server: Running, command: tuple[str, ...], case: Case) -> None:
    token = server.register()["Authorization"].removeprefix("Bearer ")
    for size in SIZES:
        assert outcomes(command, server.url, case, size=size, token=token) == {str(case.status): COUNT}
