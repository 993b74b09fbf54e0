"""Images: upload, list, show, rename, download, delete."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from urllib.parse import urljoin

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from app.api.deps import AppServices, AuthenticatedRoute, CurrentUser, Form, IdempotencyKey
from app.api.errors import IDEMPOTENCY_ERRORS, TOKEN_ERRORS, problems
from app.api.schemas import (
    DeleteBody,
    DeletedView,
    EditBody,
    ImagePageView,
    ImageView,
    ThumbnailsView,
    ThumbnailView,
)
from app.api.upload_form import MAX_DESCRIPTION
from app.core.errors import (
    CursorInvalid,
    FileEmpty,
    FileMissing,
    FileRepeated,
    FormatUnsupported,
    ImageCorrupt,
    ImageMissing,
    ImageTooExpensive,
    ImageTooLarge,
    JsonInvalid,
    MultipartInvalid,
    MultipartRequired,
    QuotaExceeded,
    ThumbnailMissing,
    UploadTooLarge,
)

router = APIRouter(prefix="/images", tags=["images"], route_class=AuthenticatedRoute)

_UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "description": {"type": "string", "maxLength": MAX_DESCRIPTION},
                    },
                }
            }
        },
    }
}


@router.post(
    "/upload",
    status_code=201,
    openapi_extra=_UPLOAD_BODY,
    responses=problems(
        *TOKEN_ERRORS,
        MultipartInvalid,
        MultipartRequired,
        FileMissing,
        FileRepeated,
        FileEmpty,
        UploadTooLarge,
        FormatUnsupported,
        ImageCorrupt,
        ImageTooLarge,
        ImageTooExpensive,
        QuotaExceeded,
        *IDEMPOTENCY_ERRORS,
    ),
)
async def upload_image(
    request: Request, user: CurrentUser, services: AppServices, form: Form, key: IdempotencyKey
) -> ImageView:
    """Upload one image: when the answer is there, original, thumbnails and record are durable.

    JPEG, PNG, GIF, WebP, HEIC/HEIF and AVIF are told apart by their content; the claimed type and the
    extension decide nothing.
    """
    async with form.receive(request, recognise=services.uploads.recognise) as received:
        if key is None:
            image = await services.uploads.receive(user, received)
        else:
            image = await services.once.run(
                user.id,
                f"key {key}",
                fingerprint=f"upload {received.sha256}",
                find=partial(services.library.find, user),
                make=lambda image_id: services.uploads.receive(user, received, image_id=image_id),
            )
    return ImageView.of(await services.views.sign(image), base_url=str(request.base_url))


@router.get("", responses=problems(*TOKEN_ERRORS, CursorInvalid))
async def list_images(
    request: Request,
    user: CurrentUser,
    services: AppServices,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> ImagePageView:
    """Your images, newest first."""
    page = await services.library.page(user, cursor=cursor, limit=limit)
    base_url = str(request.base_url)
    items = [ImageView.of(await services.views.sign(image), base_url=base_url) for image in page.items]
    return ImagePageView(items=items, next_cursor=page.next_cursor)


@router.post("/delete", responses=problems(*TOKEN_ERRORS, JsonInvalid))
async def delete_images(body: DeleteBody, user: CurrentUser, services: AppServices) -> DeletedView:
    """Delete up to 100 images; each is told of on its own."""
    return DeletedView(results=await services.library.delete_many(user, body.ids))


@router.get("/{image_id}", responses=problems(*TOKEN_ERRORS, ImageMissing))
async def read_image(request: Request, image_id: str, user: CurrentUser, services: AppServices) -> ImageView:
    """One of your images."""
    image = await services.library.get(user, image_id)
    return ImageView.of(await services.views.sign(image), base_url=str(request.base_url))


@router.patch("/{image_id}", responses=problems(*TOKEN_ERRORS, JsonInvalid, ImageMissing))
async def edit_image(
    request: Request, image_id: str, body: EditBody, user: CurrentUser, services: AppServices
) -> ImageView:
    """Rename or describe an image."""
    image = await services.library.edit(user, image_id, changes=body.changes())
    return ImageView.of(await services.views.sign(image), base_url=str(request.base_url))


@router.delete("/{image_id}", status_code=204, responses=problems(*TOKEN_ERRORS, ImageMissing))
async def delete_image(image_id: str, user: CurrentUser, services: AppServices) -> Response:
    """Delete an image: record, original and thumbnails."""
    await services.library.delete(user, image_id)
    return Response(status_code=204)


@router.get(
    "/{image_id}/file",
    status_code=307,
    response_class=RedirectResponse,
    responses=problems(*TOKEN_ERRORS, ImageMissing),
)
async def download_image(request: Request, image_id: str, user: CurrentUser, services: AppServices) -> Response:
    """Redirects to a URL that saves the original under its filename; Range and ETag work there."""
    signed = await services.library.download_url(user, image_id)
    return RedirectResponse(urljoin(str(request.base_url), signed.url), status_code=307)


@router.get("/{image_id}/thumbnails", responses=problems(*TOKEN_ERRORS, ImageMissing))
async def list_thumbnails(request: Request, image_id: str, user: CurrentUser, services: AppServices) -> ThumbnailsView:
    """How each size of an image stands."""
    signed = await services.views.sign(await services.library.get(user, image_id))
    base_url = str(request.base_url)
    return ThumbnailsView(
        thumbnails=[ThumbnailView.of(thumbnail, base_url=base_url) for thumbnail in signed.thumbnails]
    )


@router.get("/{image_id}/thumbnails/{size}", responses=problems(*TOKEN_ERRORS, ImageMissing, ThumbnailMissing))
async def read_thumbnail(
    request: Request, image_id: str, size: int, user: CurrentUser, services: AppServices
) -> ThumbnailView:
    """How one size of an image stands."""
    image, thumbnail = await services.library.thumbnail(user, image_id, size)
    signed = await services.views.sign_thumbnail(image, thumbnail)
    return ThumbnailView.of(signed, base_url=str(request.base_url))
