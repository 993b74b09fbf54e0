"""Images: upload, show, edit, download, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated, Any
from urllib.parse import urljoin

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api.auditing import set_audited
from app.api.dependencies import (
    CurrentUser,
    IdempotencyKey,
    ServicesDep,
    UploadFormDep,
    UserOrServerRoute,
)
from app.api.errors import IDEMPOTENCY_ERRORS, TOKEN_ERRORS, problems
from app.api.events import EventStreamDep, event_stream_of
from app.api.preferences import Preference, RespondAsync
from app.api.router import ApiRouter
from app.api.schemas.fields import Id
from app.api.schemas.images import (
    DeleteBody,
    DeletedView,
    EditBody,
    ImageView,
    ThumbnailsView,
    ThumbnailView,
)
from app.api.services import Services
from app.api.upload_form import CUSTOM_METADATA, MAX_DESCRIPTION
from app.api.upload_slots import LimitedUpload
from app.api.views import image_view
from app.domain.accounts import User
from app.domain.ean import looks_like_ean, normalize
from app.domain.errors import (
    EanInvalid,
    FileEmpty,
    FileMissing,
    FileRepeated,
    FormatUnsupported,
    ImageCorrupt,
    ImageMissing,
    ImagePending,
    ImageTooExpensive,
    ImageTooLarge,
    JsonInvalid,
    MultipartInvalid,
    MultipartRequired,
    QuotaExceeded,
    ThumbnailMissing,
    TooManyAttempts,
    TooManyUploads,
    UploadTooLarge,
)
from app.domain.images import Image, ThumbnailStatus
from app.services.uploads import Uploads

router = ApiRouter(prefix="/images", tags=["images"], route_class=UserOrServerRoute)

_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": ImageView, "description": "Accepted; the thumbnails are `pending`, or the image itself is."}
}
_BINARY = {"type": "string", "format": "binary"}
_UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": _BINARY,
                        "description": {"type": "string", "maxLength": MAX_DESCRIPTION},
                        "custom_metadata": {"type": "string", "description": CUSTOM_METADATA},
                    },
                }
            },
            "application/octet-stream": {"schema": _BINARY},
        },
    },
    "parameters": [
        {
            "name": "filename",
            "in": "query",
            "description": "If the body is the file: its name, unless a `Content-Disposition` header contains it.",
            "schema": {"type": "string"},
        },
        {
            "name": "description",
            "in": "query",
            "description": "If the body is the file: its description.",
            "schema": {"type": "string", "maxLength": MAX_DESCRIPTION},
        },
        {
            "name": "custom_metadata",
            "in": "query",
            "description": f"If the body is the file: {CUSTOM_METADATA}",
            "schema": {"type": "string"},
        },
    ],
}


@router.post(
    "/upload",
    status_code=201,
    openapi_extra=_UPLOAD_BODY,
    dependencies=[LimitedUpload],
    responses=_ACCEPTED
    | problems(
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
        TooManyUploads,
        *IDEMPOTENCY_ERRORS,
    ),
)
async def upload_image(
    request: Request,
    response: Response,
    user: CurrentUser,
    services: ServicesDep,
    form: UploadFormDep,
    key: IdempotencyKey,
    preference: Preference,
) -> ImageView:
    """Upload one image. When the response arrives, original, thumbnails and metadata are stored durably.

    The body is a form, or the file itself with the type `application/octet-stream`, any type of an image, or none.

    The format (JPEG, PNG, GIF, WebP, HEIC/HEIF or AVIF) is detected from the content; the declared content type and
    the filename extension are ignored. With `Prefer: respond-async` the response does not wait for the thumbnails.
    """
    store = _upload_strategies(services.uploads)[preference]
    async with form.receive(request, detect_format=services.uploads.detect_format) as received:
        if key is None:
            image = await store(user, received)
        else:
            image = await services.idempotency.run(
                user.id,
                f"key {key}",
                fingerprint=f"upload {received.sha256}",
                find=partial(services.library.find, user),
                create=lambda claim: store(user, received, image_id=claim.result_id, claim=claim),
            )
    set_audited(request, targets=[image.id])
    if image.has_pending_thumbnails:
        response.status_code = 202
        if preference is not RespondAsync.NEVER:
            response.headers["Preference-Applied"] = "respond-async"
    return await image_view(request, services, image)


def _upload_strategies(uploads: Uploads) -> dict[RespondAsync, Callable[..., Awaitable[Image]]]:
    return {
        RespondAsync.NEVER: uploads.store_upload,
        RespondAsync.IF_BUSY: uploads.store_rendered_if_idle,
        RespondAsync.ALWAYS: uploads.store_deferred,
    }


@router.post("/delete", responses=problems(*TOKEN_ERRORS, JsonInvalid))
async def delete_images(request: Request, body: DeleteBody, user: CurrentUser, services: ServicesDep) -> DeletedView:
    """Delete up to 100 images. Returns one result per id."""
    results = await services.library.delete_many(user, [image_id.lower() for image_id in body.ids])
    set_audited(request, targets=[image_id for image_id, result in results.items() if result == "deleted"])
    return DeletedView(results={image_id: results[image_id.lower()] for image_id in body.ids})


@router.get("/{image_id}", responses=problems(*TOKEN_ERRORS, ImageMissing))
async def get_image(request: Request, image_id: Id, user: CurrentUser, services: ServicesDep) -> ImageView:
    """Show an image by its id. With an EAN of 8 to 14 digits: the newest image that was fetched for that product."""
    image = await _get_by_id_or_ean(user, services, image_id)
    return await image_view(request, services, image)


async def _get_by_id_or_ean(user: User, services: Services, image_id: Id) -> Image:
    if not looks_like_ean(image_id):
        return await services.library.get(user, image_id)
    try:
        return await services.library.get_newest_of_product(user, normalize(image_id))
    except EanInvalid as error:
        raise ImageMissing(error.detail) from None


@router.patch("/{image_id}", responses=problems(*TOKEN_ERRORS, JsonInvalid, ImageMissing))
async def update_image(
    request: Request, image_id: Id, body: EditBody, user: CurrentUser, services: ServicesDep
) -> ImageView:
    """Change the filename, the description, the focal point or the custom metadata of an image."""
    image = await services.library.edit(user, image_id, changes=body.changes())
    return await image_view(request, services, image)


@router.delete("/{image_id}", status_code=204, responses=problems(*TOKEN_ERRORS, ImageMissing))
async def delete_image(image_id: Id, user: CurrentUser, services: ServicesDep) -> Response:
    """Delete an image: its metadata, original and thumbnails."""
    await services.library.delete(user, image_id)
    return Response(status_code=204)


@router.get(
    "/{image_id}/file",
    status_code=307,
    response_class=RedirectResponse,
    responses=problems(*TOKEN_ERRORS, ImageMissing, ImagePending),
)
async def download_image(request: Request, image_id: Id, user: CurrentUser, services: ServicesDep) -> Response:
    """Redirect to a URL that downloads the original under its filename. That URL supports Range and ETag."""
    signed = await services.library.download_url(user, image_id)
    return RedirectResponse(urljoin(str(request.base_url), signed.url), status_code=307)


@router.get("/{image_id}/thumbnails", responses=problems(*TOKEN_ERRORS, ImageMissing, ImagePending))
async def list_thumbnails(request: Request, image_id: Id, user: CurrentUser, services: ServicesDep) -> ThumbnailsView:
    """List the thumbnails of an image with their status."""
    image = await image_view(request, services, await services.library.get_ready(user, image_id))
    return ThumbnailsView(thumbnails=image.thumbnails)


@router.post(
    "/{image_id}/thumbnails",
    status_code=202,
    responses=problems(*TOKEN_ERRORS, ImageMissing, ImagePending, TooManyAttempts),
)
async def retry_thumbnails(request: Request, image_id: Id, user: CurrentUser, services: ServicesDep) -> ThumbnailsView:
    """Render the failed thumbnails of an image again, in the background."""
    image = await image_view(request, services, await services.thumbnails.retry_failed(user, image_id))
    return ThumbnailsView(thumbnails=image.thumbnails)


async def _image(image_id: Id, user: CurrentUser, services: ServicesDep) -> Image:
    """A dependency, so that a missing image is reported before the stream starts."""
    return await services.library.get(user, image_id)


@router.get(
    "/{image_id}/events",
    response_class=EventSourceResponse,
    responses=event_stream_of(ImageView) | problems(*TOKEN_ERRORS, ImageMissing),
)
async def watch_image(
    request: Request,
    image: Annotated[Image, Depends(_image)],
    user: CurrentUser,
    services: ServicesDep,
    stream: EventStreamDep,
) -> AsyncIterator[ServerSentEvent]:
    """Stream server-sent events named `image`, one per change, until no thumbnail is `pending`.

    A stream may end earlier. Reconnect with `Last-Event-ID`, so that the event you already have is not sent again.
    """

    async def read() -> ImageView:
        return await image_view(request, services, await services.library.get(user, image.id))

    def is_final(view: ImageView) -> bool:
        return all(thumbnail.status is not ThumbnailStatus.PENDING for thumbnail in view.thumbnails)

    async for event in stream.follow("image", read, is_final=is_final):
        yield event


@router.get(
    "/{image_id}/thumbnails/{size}", responses=problems(*TOKEN_ERRORS, ImageMissing, ImagePending, ThumbnailMissing)
)
async def get_thumbnail(
    request: Request, image_id: Id, size: int, user: CurrentUser, services: ServicesDep
) -> ThumbnailView:
    """Show one thumbnail of an image with its status."""
    image, thumbnail = await services.library.get_thumbnail(user, image_id, size)
    signed = await services.url_signer.sign_thumbnail(image, thumbnail)
    return ThumbnailView.of(signed, base_url=str(request.base_url))
