"""Serves images in other sizes and formats, which are rendered when they are first requested."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Path, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.api.dependencies import ServicesDep, known_query
from app.api.errors import problems
from app.api.negotiation import accepted
from app.api.object_responses import object_response
from app.api.router import ApiRouter
from app.api.schemas.fields import EXAMPLE_ID, Id
from app.domain.errors import (
    FieldError,
    ImageCorrupt,
    ImageMissing,
    ImagePending,
    ImageTooExpensive,
    ObjectMissing,
    RangeUnsatisfiable,
    RequestInvalid,
    UrlExpired,
    UrlInvalid,
)
from app.domain.renditions import MAX_REQUESTED_SIDE, Fit, RenditionFormat, RenditionRequest

router = ApiRouter(prefix="/renditions", tags=["renditions"])

_Side = Annotated[int | None, Query(ge=1, le=MAX_REQUESTED_SIDE)]
# The best one first.
_NEGOTIATED: tuple[RenditionFormat, ...] = ("avif", "webp")

RENDITION_RESPONSES: dict[int | str, dict[str, Any]] = {
    # Without a content type, because some generators of clients refuse a response that has several.
    200: {"description": "The rendition, as AVIF, WebP or JPEG, if the service itself serves the objects."},
    206: {"description": "The requested range."},
    304: {"description": "The ETag in the request is current."},
    307: {"description": "The rendition is at the URL in `Location`, in the object store or its CDN."},
}
RENDITION_ERRORS = (
    ImageMissing,
    ObjectMissing,
    ImagePending,
    ImageCorrupt,
    ImageTooExpensive,
    RangeUnsatisfiable,
    RequestInvalid,
)


async def _requested(
    *,
    w: Annotated[_Side, Query(description="The width in pixels, which is rounded up to one of a few sizes.")] = None,
    h: Annotated[_Side, Query(description="The height in pixels, which changes in proportion to the width.")] = None,
    fit: Annotated[
        Fit,
        Query(description="`contain`: the whole image, within the size. `cover`: cropped around its focal point."),
    ] = "contain",
    format: Annotated[  # noqa: A002 - the name of the parameter in the URL
        Literal["auto", "avif", "webp", "jpeg"], Query(description="`auto`: what the Accept header names.")
    ] = "auto",
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> RenditionRequest:
    """Raises RequestInvalid."""
    if w is None and h is None:
        raise RequestInvalid(errors=[FieldError("query.w", "Either w or h is required, in pixels")])
    return RenditionRequest(w, h, fit, _negotiated(accept) if format == "auto" else format)


RequestedRendition = Annotated[RenditionRequest, Depends(_requested)]


@router.head("/{image_id}/{token}", include_in_schema=False, dependencies=[Depends(known_query)])
@router.get(
    "/{image_id}/{token}",
    response_class=Response,
    dependencies=[Depends(known_query)],
    responses={**RENDITION_RESPONSES, **problems(UrlInvalid, UrlExpired, *RENDITION_ERRORS)},
)
async def get_rendition(
    request: Request,
    services: ServicesDep,
    image_id: Annotated[Id, Path(examples=[EXAMPLE_ID])],
    token: str,
    rendition: RequestedRendition,
) -> Response:
    """Read an image in any size and format, with a URL made from the template `rendition_url` of the image."""
    claims = services.renditions.urls.verify(image_id, token)
    key = await services.renditions.ensure(claims, rendition)
    if services.local_objects is not None:
        found = await services.local_objects.open_local(key)
        headers = vary(request) | {"Cache-Control": _cache_control(claims.expires_at)}
        return object_response(request, found, headers=headers)
    signed = await services.url_signer.sign_object(key)
    headers = vary(request) | {"Cache-Control": _cache_control(min(claims.expires_at, signed.expires_at))}
    return RedirectResponse(signed.url, status_code=307, headers=headers)


def vary(request: Request) -> dict[str, str]:
    """Return the header Vary if the Accept header decides the format."""
    return {"Vary": "Accept"} if request.query_params.get("format", "auto") == "auto" else {}


def _cache_control(until: datetime) -> str:
    seconds = max(timedelta(), until - datetime.now(UTC)).total_seconds()
    return f"private, max-age={int(seconds)}, immutable"


def _negotiated(accept: str) -> RenditionFormat:
    """Return the best format that the Accept header names. `*/*` names none: not every client of it reads AVIF."""
    media_types = accepted(accept)
    return next((name for name in _NEGOTIATED if f"image/{name}" in media_types), "jpeg")
