"""Clients that stall, trickle or open many connections do not affect others."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Running, environment_for, started
from tests.pictures import jpeg

PROXY = "127.0.0.1"
"""uvicorn trusts this address as a proxy by default; all other loopback addresses are ordinary clients."""
STALLED = 1200
REQUESTS = 200
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
FORM_START = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
FORM_END = b"\r\n--x--\r\n"


@contextmanager
def server(folder: Path, **limits: Any) -> Iterator[Running]:
    command = ("-m", "tests.acceptance.server_with_short_deadlines", json.dumps(limits))
    environment = environment_for(folder / "data", REGISTRATION="open", RENDER_PROCESSES="1")
    with started(environment, command=command) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that waits one second for the headers of a request, and five before it measures the rate of a body."""
    limits = {"connections": {"header_seconds": 1}, "body": {"grace_seconds": 5}}
    with server(tmp_path_factory.mktemp("impatient"), **limits) as running:
        yield running


@pytest.fixture(scope="module")
def two_uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that accepts two uploads at a time of each user, and two of each address."""
    with server(tmp_path_factory.mktemp("two"), uploads={"per_user": 2, "per_address": 2}) as running:
        yield running


@contextmanager
def descriptor_limit(soft: int) -> Iterator[None]:
    previous, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (previous, hard))


def connect(running: Running, source: str) -> socket.socket:
    port = int(running.environment["PORT"])
    return socket.create_connection(("127.0.0.1", port), timeout=100, source_address=(source, 0))


def response_on(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON body of the only response on the connection, which the server closes."""
    data = b""
    while part := connection.recv(65_536):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def client_from(running: Running, source: str) -> httpx.Client:
    return httpx.Client(base_url=running.url, timeout=100, transport=httpx.HTTPTransport(local_address=source))


@pytest.mark.parametrize("header_seconds", [5, 1000])
def test_connections_that_never_finish_their_headers_do_not_affect_others(tmp_path: Path, header_seconds: int):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3 * STALLED:
        pytest.skip("the hard limit of open files is too low for this number of connections")
    with ExitStack() as stack:
        with descriptor_limit(1024):  # The service inherits this limit and has to raise it.
            running = stack.enter_context(server(tmp_path, connections={"header_seconds": header_seconds}))
        stack.enter_context(descriptor_limit(hard))
        for number in range(STALLED):
            stalled = stack.enter_context(closing(connect(running, f"127.0.0.{2 + number % 6}")))
            stalled.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Header: ")
        with client_from(running, "127.0.0.9") as client:
            for number in range(REQUESTS):
                # Most requests open a new connection.
                headers = {} if number % 4 == 0 else {"Connection": "close"}
                assert client.get("/health/live", headers=headers).status_code == 200
        assert "connections.limit_exceeded" not in running.log.read_text()


def test_incomplete_headers_get_a_problem_response(impatient: Running):
    with closing(connect(impatient, "127.0.0.2")) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\n")
        status, problem = response_on(connection)
        assert (status, problem["code"], problem["status"]) == (408, "request_timeout", 408)
        assert problem["request_id"]
    with closing(connect(impatient, PROXY)) as silent:
        assert silent.recv(1) == b""
    with closing(connect(impatient, PROXY)) as second_request:
        second_request.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = second_request.recv(65_536)
        assert received.startswith(b"HTTP/1.1 200")
        second_request.sendall(b"GET /health/live HTTP/1.1\r\n")
        while b"request_timeout" not in received:
            received += second_request.recv(65_536) or pytest.fail(received.decode())


def test_the_command_of_uvicorn_accepts_the_protocol(tmp_path: Path):
    environment = environment_for(tmp_path / "data")
    options = ("--port", environment["PORT"], "--http", "app.connections:LimitedProtocol")
    with ExitStack() as stack:
        running = stack.enter_context(started(environment, command=("-m", "uvicorn", "main:app", *options)))
        connection = stack.enter_context(closing(connect(running, "127.0.0.2")))
        connection.sendall(b"GET /health/live HTTP/1.1\r\n")
        assert response_on(connection)[1]["code"] == "request_timeout"


def test_a_client_that_trickles_header_bytes_gets_no_more_time(impatient: Running):
    with closing(connect(impatient, "127.0.0.2")) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nX-Header: ")
        connection.settimeout(0.1)
        received = b""
        deadline = time.monotonic() + 300
        while not received and time.monotonic() < deadline:
            connection.sendall(b"a")
            with suppress(TimeoutError):
                received = connection.recv(65_536)
        assert received.startswith(b"HTTP/1.1 408")


def test_a_request_that_takes_longer_than_the_header_deadline_is_not_ended(impatient: Running):
    response = upload(impatient, impatient.register(), bytes_per_second=60_000, data=jpeg(1500, 1200, quality=95))
    assert response.status_code == 201


def upload(running: Running, headers: dict[str, str], *, bytes_per_second: int, data: bytes) -> httpx.Response:
    def body() -> Iterator[bytes]:
        form = FORM_START + data + FORM_END
        step = max(1, bytes_per_second // 10)
        for start in range(0, len(form), step):
            yield form[start : start + step]
            time.sleep(step / bytes_per_second)

    url = f"{running.url}/api/v1/images/upload"
    return httpx.post(url, content=body(), headers={**headers, **FORM}, timeout=200)


def test_only_a_body_that_arrives_too_slowly_is_ended(impatient: Running):
    headers = impatient.register()
    photo = jpeg(2200, 1800, quality=95)
    assert len(photo) > 8 * 30_000
    assert upload(impatient, headers, bytes_per_second=30_000, data=photo).status_code == 201
    response = upload(impatient, headers, bytes_per_second=1, data=photo)
    assert (response.status_code, response.json()["code"]) == (408, "body_too_slow")


def test_a_new_connection_replaces_the_oldest_stalled_one_of_its_address(tmp_path: Path):
    with server(tmp_path, connections={"per_address": 3, "header_seconds": 1000}) as running, ExitStack() as stack:
        stalled = [stack.enter_context(closing(connect(running, "127.0.0.2"))) for _ in range(3)]
        other = stack.enter_context(closing(connect(running, "127.0.0.3")))
        for connection in [*stalled, other]:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n")
        with client_from(running, "127.0.0.2") as client:
            assert client.get("/health/live").status_code == 200
        assert response_on(stalled[0])[1]["code"] == "request_timeout"
        for connection in [*stalled[1:], other]:
            connection.sendall(b"Connection: close\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        assert "connections.limit_exceeded" in running.log.read_text()


def test_a_new_connection_replaces_the_oldest_stalled_one_of_all(tmp_path: Path):
    with server(tmp_path, connections={"total": 3, "header_seconds": 1000}) as running, ExitStack() as stack:
        stalled = [stack.enter_context(closing(connect(running, f"127.0.0.{number}"))) for number in (2, 3, 4)]
        for connection in stalled:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n")
        with client_from(running, "127.0.0.5") as client:
            assert client.get("/health/live").status_code == 200
        assert response_on(stalled[0])[1]["code"] == "request_timeout"


@contextmanager
def unfinished_upload(running: Running, source: str, headers: dict[str, str]) -> Iterator[socket.socket]:
    """Send the beginning of an upload and yield its connection once the server has begun to receive the body."""
    lines = {**headers, **FORM, "Host": "localhost", "Content-Length": "100000", "Expect": "100-continue"}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with closing(connect(running, source)) as connection:
        connection.sendall(f"POST /api/v1/images/upload HTTP/1.1\r\n{head}\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        yield connection


def refusal(response: httpx.Response) -> tuple[int, str, bool]:
    return response.status_code, response.json()["code"], "Retry-After" in response.headers


def send_photo(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    return client.post("/api/v1/images/upload", files={"file": ("a.jpg", jpeg())}, headers=headers)


def test_a_connection_is_refused_if_all_others_of_its_address_are_in_use(tmp_path: Path):
    with server(tmp_path, connections={"per_address": 2}) as running, ExitStack() as stack:
        headers = running.register()
        for _ in range(2):
            stack.enter_context(unfinished_upload(running, "127.0.0.2", headers))
        with client_from(running, "127.0.0.2") as client:
            assert refusal(client.get("/health/live")) == (429, "too_many_connections", True)
        for other in ("127.0.0.3", PROXY):
            with client_from(running, other) as client:
                assert client.get("/health/live").status_code == 200


def test_uploads_of_one_user_are_limited(two_uploads: Running):
    headers, other = two_uploads.register(), two_uploads.register()
    with ExitStack() as stack:
        for number in (2, 3):
            stack.enter_context(unfinished_upload(two_uploads, f"127.0.0.{number}", headers))
        with client_from(two_uploads, "127.0.0.4") as client:
            assert refusal(send_photo(client, headers)) == (429, "too_many_uploads", True)
            assert client.get("/api/v1/images", headers=headers).status_code == 200
            assert send_photo(client, other).status_code == 201
    assert becomes(lambda: accepts_photo(two_uploads, headers))


def accepts_photo(running: Running, headers: dict[str, str]) -> bool:
    with client_from(running, PROXY) as client:
        return send_photo(client, headers).status_code == 201


def becomes(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_uploads_of_one_address_are_limited_but_not_those_of_a_proxy(two_uploads: Running):
    with ExitStack() as stack:
        people = [two_uploads.register() for _ in range(4)]
        for headers in people[:2]:
            stack.enter_context(unfinished_upload(two_uploads, "127.0.0.5", headers))
            stack.enter_context(unfinished_upload(two_uploads, PROXY, headers))
        with client_from(two_uploads, "127.0.0.5") as client:
            assert refusal(send_photo(client, people[3])) == (429, "too_many_uploads", True)
        with client_from(two_uploads, PROXY) as client:
            assert send_photo(client, people[3]).status_code == 201
            forwarded = {"X-Forwarded-For": "127.0.0.5"}
            assert refusal(send_photo(client, people[3] | forwarded)) == (429, "too_many_uploads", True)
            assert send_photo(client, people[3] | {"X-Forwarded-For": "192.0.2.7"}).status_code == 201
