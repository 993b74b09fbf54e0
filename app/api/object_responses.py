"""Responses with the objects of a local store: ETags, ranges, and headers for files that come from users."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fastapi import Request
from fastapi.responses import FileResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.types import Receive, Scope, Send

from app.api.errors import problem_response
from app.common.content_disposition import attachment
from app.domain.errors import ObjectMissing, RangeUnsatisfiable
from app.domain.objects import LocalObject

_SINGLE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


def object_response(
    request: Request, found: LocalObject, *, filename: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the response to a GET or HEAD request for the object. With `filename`, it is a download.

    `headers` replace those that an object has otherwise.
    """
    sent = {**_headers(found, filename), **(headers or {})}
    if not {found.etag, "*"}.isdisjoint(_etags(request)):
        return Response(status_code=304, headers=sent)
    if not _range_is_satisfiable(request, found):
        response = problem_response(RangeUnsatisfiable(), request.scope)
        response.headers["Content-Range"] = f"bytes */{found.size}"
        return response
    return _ObjectResponse(found.path, media_type=found.content_type, headers=sent)


class _ObjectResponse(FileResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except (RuntimeError, FileNotFoundError) as error:
            if Path(self.path).exists():  # noqa: ASYNC240 - a single stat call in a rare case
                raise
            raise ObjectMissing from error  # The object was deleted after its URL was checked.


def _headers(found: LocalObject, filename: str | None) -> dict[str, str]:
    return {
        "ETag": found.etag,
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": "inline" if filename is None else attachment(filename),
        # The file comes from a user and is served from the service's own origin: it must not run as a document there.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


def _etags(request: Request) -> list[str]:
    """Return the ETags of If-None-Match, for a weak comparison (RFC 9110 section 13.1.2)."""
    return [etag.strip().removeprefix("W/") for etag in request.headers.get("if-none-match", "").split(",")]


def _range_is_satisfiable(request: Request, found: LocalObject) -> bool:
    """Return whether the requested range exists in the object.

    A Range header that the server must or may ignore is removed, so that the response is the whole object: malformed,
    more than one range, a method other than GET, or another version (RFC 9110 sections 13.1.5 and 14.2).
    """
    match = _SINGLE_RANGE.fullmatch(request.headers.get("range", ""))
    first, last = (int(digits) if digits else None for digits in match.groups()) if match else (None, None)
    is_backwards = first is not None and last is not None and last < first
    is_outdated = request.headers.get("if-range", found.etag) != found.etag
    if (first is None and last is None) or is_backwards or is_outdated or request.method != "GET":
        del MutableHeaders(scope=request.scope)["range"]
        return True
    return first < found.size if first is not None else bool(last and found.size)
