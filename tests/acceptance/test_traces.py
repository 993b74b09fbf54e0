"""Traces of the service as a local OTLP receiver gets them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.acceptance.conftest import Running, environment_for, started
from tests.acceptance.worker_process import worker
from tests.aws_emulators import AwsEmulator, free_port
from tests.pictures import jpeg

FILENAME = "private-beach.jpg"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT_SPAN = "00f067aa0ba902b7"


class Receiver:
    """An OTLP receiver."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.url = ""

    @property
    def services(self) -> set[str]:
        attributes = [a for request in self._requests() for r in request.resource_spans for a in r.resource.attributes]
        return {attribute.value.string_value for attribute in attributes if attribute.key == "service.name"}

    def spans(self, trace_id: str) -> list[Span]:
        return [
            span
            for request in self._requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if span.trace_id.hex() == trace_id
        ]

    def _requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in list(self.bodies)]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                receiver.bodies.append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def path_to_root(span: Span, spans: list[Span]) -> list[str]:
    """Return the names of the span and of all its parents, the outermost first."""
    parents = {parent.span_id: parent for parent in spans}
    names = [span.name]
    while span.parent_span_id in parents:
        span = parents[span.parent_span_id]
        names.insert(0, span.name)
    return names


def upload_asynchronously(running: Running) -> str:
    """Upload a photo, wait for its thumbnails, and return the URL of one of them."""
    headers = running.register()
    with httpx.Client(base_url=running.url, timeout=300, headers=headers) as client:
        response = client.post(
            "/api/v1/images/upload",
            files={"file": (FILENAME, jpeg(900, 600))},
            headers={"Prefer": "respond-async", "traceparent": f"00-{TRACE_ID}-{CLIENT_SPAN}-01"},
        )
        assert response.status_code == 202, response.text
        address = f"/api/v1/images/{response.json()['id']}"
        return wait_for_thumbnail(client, address)


def wait_for_thumbnail(client: httpx.Client, address: str) -> str:
    deadline = time.monotonic() + 300
    while not (url := client.get(address).json()["thumbnail_url"]):
        assert time.monotonic() < deadline, "no thumbnail"
        time.sleep(0.1)
    return str(url)


def check_trace(receiver: Receiver, url: str) -> None:
    spans = receiver.spans(TRACE_ID)
    paths = [path_to_root(span, spans) for span in spans]
    request = ["POST /api/v1/images/upload"]
    job = [*request, "queue.send", "job.process"]
    for expected in (request, [*request, "store.put_file"], [*request, "table.images.add"], job):
        assert expected in paths
    for name in ("table.jobs.claim_job", "renderer.render", "store.put", "table.jobs.save_job", "queue.acknowledge"):
        assert [*job, name] in paths
    root = next(span for span in spans if span.name == request[0])
    assert root.parent_span_id.hex() == CLIENT_SPAN
    assert all(path[0] == request[0] for path in paths), "every span belongs to the request"
    exported = b"".join(receiver.bodies)
    for private in (FILENAME, "example.com", "Bearer", url.partition("?")[2], "signature"):
        assert private.encode() not in exported


def test_an_asynchronous_upload_and_its_thumbnails_are_one_trace(tmp_path: Path):
    with receiving() as receiver:
        environment = environment_for(
            tmp_path / "data", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SERVICE_NAME="photos"
        )
        with started(environment) as running:
            url = upload_asynchronously(running)
            running.stop()
        check_trace(receiver, url)
        assert receiver.services == {"photos"}


@pytest.mark.slow
def test_a_trace_continues_in_the_worker_of_another_machine(tmp_path: Path, aws: AwsEmulator):
    with receiving() as receiver:
        environment = environment_for(tmp_path / "data", aws, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        with started(environment) as running:
            with worker({**environment, "DATA_DIR": str(tmp_path / "worker")}, name="worker"):
                url = upload_asynchronously(running)
            running.stop()
        check_trace(receiver, url)
        assert receiver.services == {"image-upload-service"}


@pytest.mark.slow
def test_the_service_works_without_its_collector(tmp_path: Path):
    environment = environment_for(tmp_path / "data", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    with started(environment) as running:
        assert upload_asynchronously(running)
