"""What both clients need to send a request with httpx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import httpx

from image_upload_client.errors import ImageServiceError, error_of
from image_upload_client.exchange import Request, Response

TIMEOUT = httpx.Timeout(100, connect=20)
"""Seconds of silence. The service responds to every request earlier, even if it waits for a job."""
VERSION = "0.1.0"
USER_AGENT = f"image-upload-client/{VERSION}"
_UNAUTHORIZED = 401
_OK, _PARTIAL_CONTENT = 200, 206


def api_url(base_url: str) -> str:
    """Return the URL of the API. Raises ValueError if `base_url` is not a URL of HTTP."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{base_url!r} is not a URL: {error}.") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{base_url!r} is not the URL of a service, for example https://photos.example.com.")
    return f"{base_url.rstrip('/')}/api/v1"


def arguments(api: str, request: Request, token: str | None) -> dict[str, Any]:
    """Return the arguments for httpx, except the content of a file."""
    headers = dict(request.headers)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if request.file:
        headers["Content-Length"] = str(request.file.length)
    is_url = request.path.startswith(("http://", "https://"))
    found: dict[str, Any] = {
        "method": request.method,
        "url": request.path if is_url else f"{api}{request.path}",
        "headers": headers,
    }
    if request.query:
        found["params"] = dict(request.query)
    if request.json is not None:
        found["json"] = request.json
    if request.form is not None:
        found["data"] = dict(request.form)
    return found


@contextmanager
def errors_of_httpx() -> Iterator[None]:
    """Turn the failures of httpx into ImageServiceError."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise ImageServiceError("timeout", "The service took too long to respond.") from error
    except httpx.TransportError as error:
        raise ImageServiceError("network", f"The service cannot be reached: {error}") from error


def is_token_refused(response: Response) -> bool:
    """Return whether the service refused the token, so that a new one may be accepted."""
    if response.status != _UNAUTHORIZED:
        return False
    return error_of(response.status, response.headers, response.body).code in {"token_expired", "token_invalid"}


def target_of(request: Request, response: httpx.Response) -> BinaryIO | None:
    """Return the file into which to write the body of the response, if any, at the right position."""
    file = request.save_to
    if file is None or response.status_code not in {_OK, _PARTIAL_CONTENT}:
        return None
    if response.status_code == _OK:
        file.seek(0)
        file.truncate()
    return file


def headers_of(response: httpx.Response) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
