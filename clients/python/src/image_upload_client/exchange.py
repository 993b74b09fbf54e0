"""Requests and responses without input and output, so that the client and the asynchronous client share the rest.

An operation is a generator: it yields requests, receives their responses, and returns the result of a call. A client
sends the requests. If no response arrives, it throws an ImageServiceError into the operation.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from image_upload_client.errors import ImageServiceError, error_of

CHUNK_BYTES = 64 * 1024
DELAYS = (0.5, 1, 2)
"""The seconds between the attempts of a request."""
PATIENT_DELAYS = (0.5, 1, 2, 4, 8, 15, 30, 30, 30, 30)
"""The seconds between the attempts of an upload or download that makes no progress."""
_LONGEST_WAIT_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """The content of a file from `offset` to `end`, as the body of a request."""

    content: Path | bytes
    size: int
    """The size of the whole file."""
    offset: int = 0
    end: int | None = None
    """By default the end of the file."""
    on_progress: Callable[[int], None] | None = None
    """Called with the number of bytes of the file that were sent."""

    @property
    def length(self) -> int:
        return (self.size if self.end is None else self.end) - self.offset

    def open(self) -> BinaryIO:
        file = io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")
        file.seek(self.offset)
        return file

    def chunk_sizes(self) -> Iterator[int]:
        """Yield how many bytes to read next, and report the ones before as sent."""
        sent, end = self.offset, self.offset + self.length
        while sent < end:
            size = min(CHUNK_BYTES, end - sent)
            yield size
            sent += size
            if self.on_progress:
                self.on_progress(sent)


def check_chunk(data: bytes, size: int) -> bytes:
    """Return the data that was read from a file. Raises ImageServiceError `file_changed` if it is too short."""
    if len(data) < size:
        raise ImageServiceError("file_changed", "The file became shorter while it was sent. Upload it again.")
    return data


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    path: str
    """A path below `/api/v1`, or a URL."""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str | int] = field(default_factory=dict)
    json: object = None
    form: Mapping[str, str] | None = None
    file: FilePart | None = None
    save_to: BinaryIO | None = None
    """Where to write the body of a response with the status 200 or, at its current position, 206."""
    needs_token: bool = True
    is_safe: bool = True
    """Whether the request may be repeated after a lost response."""
    expects_redirect: bool = False
    delay: float = 0
    """How many seconds to wait before the request is sent."""


@dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]
    """With names in lower case."""
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 # the callers know the type
        """Return the parsed body. Raises ImageServiceError `unexpected_response` if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            message = f"The response with the status {self.status} is not JSON. Check the URL of the service."
            raise ImageServiceError("unexpected_response", message, status=self.status) from None


T = TypeVar("T")
Operation = Generator[Request, Response, T]


def call(request: Request, *, delays: Sequence[float] = DELAYS) -> Operation[Response]:
    """Send a request, and repeat it after failures that may be temporary. Raises ImageServiceError."""
    remaining = iter(delays)
    while True:
        try:
            return check(request, (yield request))
        except ImageServiceError as error:
            delay = wait_after(error, next(remaining, None))
            if delay is None or not request.is_safe:
                raise
        request = replace(request, delay=delay)


def check(request: Request, response: Response) -> Response:
    """Return the response. Raises the ImageServiceError that it describes."""
    if response.status >= 400:  # noqa: PLR2004 # statuses of HTTP
        raise error_of(response.status, response.headers, response.body)
    if response.status >= 300 and not request.expects_redirect:  # noqa: PLR2004 # statuses of HTTP
        message = f"The service redirects to {response.headers.get('location')}. Use that URL."
        raise ImageServiceError("unexpected_response", message, status=response.status)
    return response


def wait_after(error: ImageServiceError, delay: float | None) -> float | None:
    """Return how many seconds to wait before the next attempt, or None if there should be none."""
    seconds = error.retry_after or 0
    if delay is None or not error.is_transient or seconds > _LONGEST_WAIT_SECONDS:
        return None
    return max(delay, seconds)


def call_json(
    method: str,
    path: str,
    *,
    query: Mapping[str, str | int] | None = None,
    json: object = None,
    is_safe: bool = True,
) -> Operation[Any]:
    """Call a route, and return the JSON of its response, or None if it has no body."""
    response = yield from call(Request(method=method, path=path, query=query or {}, json=json, is_safe=is_safe))
    return response.json() if response.body else None
