"""Retries and downloads, with failures that the service cannot be made to have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from image_upload_client import ImageClient, ImageServiceError
from image_upload_client.downloads import download
from image_upload_client.exchange import DELAYS, Request, Response, call
from image_upload_client.uploads import upload

CONTENT = bytes(range(256)) * 1000
READ = Request(method="GET", path="/images")


def busy(*, retry_after: str) -> Response:
    return Response(503, {"retry-after": retry_after}, b'{"code": "overloaded", "detail": "Busy."}')


def test_the_service_decides_how_long_to_wait():
    operation = call(READ)
    assert next(operation) == READ
    assert operation.send(busy(retry_after="7")) == replace(READ, delay=7)
    with pytest.raises(StopIteration) as returned:
        operation.send(Response(200, {}, b"{}"))
    assert returned.value.value.body == b"{}"


def test_no_request_of_a_resumable_upload_is_larger_than_the_service_accepts():
    limits: Any = {"resumable_upload_from": 0, "max_request_size": 2}
    operation = upload(b"photo", {}, limits)
    assert next(operation).method == "POST"
    assert operation.send(Response(201, {"location": "https://example.com/api/v1/images/tus/1"}, b"")).method == "GET"
    lengths = []
    for offset in range(0, 6, 2):
        request = operation.send(Response(204, {"upload-offset": str(offset)}, b""))
        assert request.file
        lengths.append((request.file.offset, request.file.length))
    assert lengths == [(0, 2), (2, 2), (4, 1)]
    assert operation.send(Response(204, {"upload-offset": "5"}, b"")).path == "/images/1"


def test_a_request_is_repeated_a_few_times():
    operation = call(READ)
    next(operation)
    lost = ImageServiceError("network", "No response.")
    assert [operation.throw(lost).delay for _ in DELAYS] == list(DELAYS)
    with pytest.raises(ImageServiceError, match="No response"):
        operation.throw(lost)


@pytest.mark.parametrize(
    "request_, response",
    [
        (replace(READ, is_safe=False), busy(retry_after="1")),
        (READ, busy(retry_after="3600")),
        (READ, Response(404, {}, b'{"code": "image_missing", "detail": "Busy."}')),
        (READ, Response(403, {}, b"<h1>Busy.</h1>")),
        (READ, Response(301, {"location": "https://example.com"}, b"")),
    ],
)
def test_other_failures_are_not_repeated(request_: Request, response: Response):
    operation = call(request_)
    next(operation)
    with pytest.raises(ImageServiceError) as caught:
        operation.send(response)
    assert caught.value.code in {"overloaded", "image_missing", "unexpected_response"}


@contextmanager
def breaking_server(*, supports_ranges: bool) -> Iterator[tuple[str, list[str | None]]]:
    """Yield a URL whose first response ends in the middle, and the `Range` headers of the requests."""
    ranges: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["Range"]
            ranges.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and supports_ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            self.wfile.write(CONTENT[start : len(CONTENT) // 2] if len(ranges) == 1 else CONTENT[start:])

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/file", ranges
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("supports_ranges", [True, False])
def test_an_interrupted_download_continues(tmp_path: Path, supports_ranges: bool):  # noqa: FBT001 # a parameter
    path = tmp_path / "photo.jpg"
    with breaking_server(supports_ranges=supports_ranges) as (url, ranges), ImageClient(url) as client:
        client._run(download(url, path))
    assert ranges == [None, f"bytes={len(CONTENT) // 2}-"]
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_a_download_with_another_hash_replaces_nothing(tmp_path: Path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"the previous file")
    with (
        breaking_server(supports_ranges=True) as (url, _),
        ImageClient(url) as client,
        pytest.raises(ImageServiceError, match="not the original"),
    ):
        client._run(download(url, path, sha256="0" * 64))
    assert path.read_bytes() == b"the previous file"
    assert list(tmp_path.iterdir()) == [path]
