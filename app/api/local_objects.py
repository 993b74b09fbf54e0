"""Serves the objects of the disk store under the URLs that it signed; not there where S3 serves them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.datastructures import MutableHeaders

from app.api.deps import AppServices
from app.api.errors import problem_response, problems
from app.core.content_disposition import attachment
from app.core.errors import ObjectMissing, RangeUnsatisfiable, UrlExpired, UrlInvalid
from app.core.models import LocalObject
from app.core.ports import LocalObjects

router = APIRouter(prefix="/objects", tags=["objects"])

_SINGLE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def local_objects(services: AppServices) -> LocalObjects:
    if services.local_objects is None:
        raise UrlInvalid
    return services.local_objects


@router.api_route(
    "/{key:path}",
    methods=["GET", "HEAD"],
    response_class=FileResponse,
    responses={
        206: {"description": "The range that was asked for."},
        304: {"description": "Unchanged since the ETag that was sent."},
        **problems(UrlInvalid, UrlExpired, ObjectMissing, RangeUnsatisfiable),
    },
)
async def read_object(
    request: Request,
    key: str,
    objects: Annotated[LocalObjects, Depends(local_objects)],
    expires: int,
    signature: str,
    filename: Annotated[str | None, Query()] = None,
) -> Response:
    """An original or a thumbnail, by a URL that an answer of this service gave."""
    found = await objects.open_signed(
        key, expires=expires, filename=filename, signature=signature, now=datetime.now(UTC)
    )
    headers = _headers(found, filename)
    if found.etag in _etags(request):
        return Response(status_code=304, headers=headers)
    if not _keep_range(request, found.size):
        response = problem_response(RangeUnsatisfiable(), request.state.request_id)
        response.headers["Content-Range"] = f"bytes */{found.size}"
        return response
    return FileResponse(found.path, media_type=found.content_type, headers=headers)


def _headers(found: LocalObject, filename: str | None) -> dict[str, str]:
    return {
        "ETag": found.etag,
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": "inline" if filename is None else attachment(filename),
        # Somebody's file on the service's own origin: whatever it pretends to be, it gets to do nothing there.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


def _etags(request: Request) -> list[str]:
    """What If-None-Match names, compared weakly (RFC 9110 section 13.1.2)."""
    return [etag.strip().removeprefix("W/") for etag in request.headers.get("if-none-match", "").split(",")]


def _keep_range(request: Request, size: int) -> bool:
    """Return whether the range that is asked for is there; one that is malformed or manifold is ignored, as
    RFC 9110 section 14.2 allows: the answer is the whole file then.
    """
    match = _SINGLE_RANGE.fullmatch(request.headers.get("range", ""))
    first, last = (int(digits) if digits else None for digits in match.groups()) if match else (None, None)
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        del MutableHeaders(scope=request.scope)["range"]
        return True
    return first < size if first is not None else bool(last and size)
