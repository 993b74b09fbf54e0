"""Serves images in other sizes and formats, which are rendered when they are first requested."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Depends, Header, Path, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.api.dependencies import ServicesDep, known_query
from app.api.errors import problems
from app.api.object_responses import object_response
from app.api.router import ApiRouter
from app.api.schemas.fields import EXAMPLE_ID, Id
from app.api.services import Services
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


@router.head("/{image_id}/{token}", include_in_schema=False, dependencies=[Depends(known_query)])
@router.get(
    "/{image_id}/{token}",
    response_class=Response,
    dependencies=[Depends(known_query)],
    responses={
        200: {
            "description": "The rendition, if the service itself serves the objects.",
            "content": {f"image/{name}": {} for name in ("avif", "jpeg", "webp")},
        },
        206: {"description": "The requested range."},
        304: {"description": "The ETag in the request is current."},
        307: {"description": "The rendition is at the URL in `Location`, in the object store or its CDN."},
        **problems(
            UrlInvalid,
            UrlExpired,
            ImageMissing,
            ObjectMissing,
            ImagePending,
            ImageCorrupt,
            ImageTooExpensive,
            RangeUnsatisfiable,
            RequestInvalid,
        ),
    },
)
async def get_rendition(
    request: Request,
    services: ServicesDep,
    image_id: Annotated[Id, Path(examples=[EXAMPLE_ID])],
    token: str,
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
) -> Response:
    """Read an image in any size and format, with a URL made from the template `rendition_url` of the image."""
    claims = services.renditions.urls.verify(image_id, token)
    if w is None and h is None:
        raise RequestInvalid(errors=[FieldError("query.w", "Either w or h is required, in pixels")])
    chosen = _negotiated(accept) if format == "auto" else format
    key = await services.renditions.ensure(claims, RenditionRequest(w, h, fit, chosen))
    headers = {"Vary": "Accept"} if format == "auto" else {}
    return await _response(request, services, key, expires_at=claims.expires_at, headers=headers)


async def _response(
    request: Request, services: Services, key: str, *, expires_at: datetime, headers: dict[str, str]
) -> Response:
    if services.local_objects is not None:
        found = await services.local_objects.open_local(key)
        return object_response(request, found, headers={**headers, "Cache-Control": _cache_control(expires_at)})
    signed = await services.url_signer.sign_object(key)
    headers["Cache-Control"] = _cache_control(min(expires_at, signed.expires_at))
    return RedirectResponse(signed.url, status_code=307, headers=headers)


def _cache_control(until: datetime) -> str:
    seconds = max(timedelta(), until - datetime.now(UTC)).total_seconds()
    return f"private, max-age={int(seconds)}, immutable"


def _negotiated(accept: str) -> RenditionFormat:
    """Return the best format that the Accept header names. `*/*` names none: not every client of it reads AVIF."""
    accepted = set()
    for media_range in accept.lower().split(","):
        name, _, parameters = media_range.partition(";")
        if parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            accepted.add(name.strip())
    return next((name for name in _NEGOTIATED if f"image/{name}" in accepted), "jpeg")
