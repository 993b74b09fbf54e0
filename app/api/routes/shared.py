"""What anyone sees who has the link of a share. Each request checks the share, so that it can be revoked at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.api.dependencies import ClientAddress, ServicesDep, known_query
from app.api.errors import problems
from app.api.object_responses import object_response
from app.api.router import ApiRouter
from app.api.routes.renditions import RENDITION_ERRORS, RENDITION_RESPONSES, RequestedRendition, vary
from app.api.schemas.fields import Id
from app.api.schemas.shares import SharedPageView, SharePassword
from app.api.services import Services
from app.api.shared_links import SharedLinks
from app.domain.errors import JsonInvalid, Overloaded, ShareMissing, SharePasswordRequired, TooManyAttempts
from app.domain.filenames import with_extension
from app.domain.images import Image
from app.domain.renditions import CENTER, RenditionRequest
from app.domain.shares import Share, ShareDownload

router = ApiRouter(prefix="/shared", tags=["shared images"])

PRIVATE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer"}
_MAX_SIDE = 2560
"""Renditions that are larger are for the owner of the images only, whatever `RENDITION_SIZES` contains."""
_DOWNLOADED = RenditionRequest(width=_MAX_SIDE, height=None, fit="contain", format="jpeg")
_ERRORS = (ShareMissing, SharePasswordRequired)

Page = Annotated[int, Query(ge=1, le=100)]
Access = Annotated[
    str | None, Query(description="Opens a share with a password for 15 minutes. The URLs in responses contain it.")
]


@router.get("/{token}", responses=problems(*_ERRORS), dependencies=[Depends(known_query)])
async def get_shared_images(
    request: Request, response: Response, token: str, services: ServicesDep, page: Page = 1, access: Access = None
) -> SharedPageView:
    """Show the images of a share. It needs no account: `token` is the end of the link."""
    share = await services.shares.open(token, access=access)
    response.headers.update(PRIVATE)
    return await _view(services, share, SharedLinks.of(request, token, access), page=page)


@router.post("/{token}", responses=problems(*_ERRORS, JsonInvalid, TooManyAttempts, Overloaded))
async def open_shared_images(
    request: Request,
    response: Response,
    token: str,
    body: SharePassword,
    services: ServicesDep,
    address: ClientAddress,
) -> SharedPageView:
    """Open a share with its password. The URLs in the response are valid for 15 minutes."""
    share, access = await services.shares.unlock(token, body.password, address=address)
    response.headers.update(PRIVATE)
    return await _view(services, share, SharedLinks.of(request, token, access), page=1)


@router.get(
    "/{token}/images/{image_id}",
    response_class=Response,
    dependencies=[Depends(known_query)],
    responses={**RENDITION_RESPONSES, **problems(*_ERRORS, *RENDITION_ERRORS)},
)
async def get_shared_rendition(
    request: Request,
    token: str,
    image_id: Id,
    services: ServicesDep,
    rendition: RequestedRendition,
    access: Access = None,
) -> Response:
    """Read an image of a share in any size and format."""
    share = await services.shares.open(token, access=access)
    image = await services.shares.image(share, image_id)
    key = await _rendition(services, image, rendition)
    return await _object(request, services, key)


@router.get(
    "/{token}/images/{image_id}/download",
    response_class=Response,
    dependencies=[Depends(known_query)],
    responses={**RENDITION_RESPONSES, **problems(*_ERRORS, *RENDITION_ERRORS)},
)
async def download_shared_image(
    request: Request, token: str, image_id: Id, services: ServicesDep, access: Access = None
) -> Response:
    """Download the largest rendition of an image, or its original, if the share allows it.

    A rendition has no metadata, and the original has lost its position.
    """
    share = await services.shares.open(token, access=access)
    if share.download is ShareDownload.NONE:
        raise ShareMissing("This share does not allow downloads.")
    image = await services.shares.image(share, image_id)
    if share.download is ShareDownload.ORIGINAL:
        key = await services.renditions.ensure_without_location(image)
        filename = with_extension(image.filename, image.content_type)
    else:
        key = await _rendition(services, image, _DOWNLOADED)
        filename = with_extension(image.filename, "image/jpeg")
    return await _object(request, services, key, filename=filename)


async def _rendition(services: Services, image: Image, rendition: RenditionRequest) -> str:
    focal_point = image.focal_point or CENTER
    return await services.renditions.ensure_of(image, rendition, focal_point=focal_point, max_side=_MAX_SIDE)


async def _object(request: Request, services: Services, key: str, *, filename: str | None = None) -> Response:
    headers = PRIVATE | vary(request)
    if services.local_objects is not None:
        found = await services.local_objects.open_local(key)
        return object_response(request, found, filename=filename, headers=headers)
    signed = await services.url_signer.sign_object_briefly(key, filename=filename)
    return RedirectResponse(signed.url, status_code=307, headers=headers)


async def _view(services: Services, share: Share, links: SharedLinks, *, page: int) -> SharedPageView:
    shown = await services.shares.images(share, page=page)
    return SharedPageView.of(share, shown, links, next_page=page + 1 if shown.has_more else None)
