"""Images: upload, list, show, rename, download, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated, Any
from urllib.parse import urljoin

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api.deps import AppServices, AuthenticatedRoute, CurrentUser, Form, IdempotencyKey
from app.api.errors import IDEMPOTENCY_ERRORS, TOKEN_ERRORS, problems
from app.api.events import AllWatchers, LastEventId, events, place
from app.api.preferences import Preference, RespondAsync
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
from app.core.ean import looks_like_ean, normalise
from app.core.errors import (
    CursorInvalid,
    EanInvalid,
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
    TooManyAttempts,
    UploadTooLarge,
)
from app.core.models import Image, ThumbnailStatus, User
from app.services import Services
from app.usecases.uploads import Uploads

router = APIRouter(prefix="/images", tags=["images"], route_class=AuthenticatedRoute)

_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": ImageView, "description": "Taken in; its thumbnails are `pending`."}
}
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
        *IDEMPOTENCY_ERRORS,
    ),
)
async def upload_image(
    request: Request,
    response: Response,
    user: CurrentUser,
    services: AppServices,
    form: Form,
    key: IdempotencyKey,
    preference: Preference,
) -> ImageView:
    """Upload one image: when the answer is there, original, thumbnails and record are durable.

    JPEG, PNG, GIF, WebP, HEIC/HEIF and AVIF are told apart by their content; the claimed type and the
    extension decide nothing. With `Prefer: respond-async` the answer does not wait for the thumbnails.
    """
    receive = _ways(services.uploads)[preference]
    async with form.receive(request, recognise=services.uploads.recognise) as received:
        if key is None:
            image = await receive(user, received)
        else:
            image = await services.once.run(
                user.id,
                f"key {key}",
                fingerprint=f"upload {received.sha256}",
                find=partial(services.library.find, user),
                make=lambda claim: receive(user, received, image_id=claim.result_id, claim=claim),
            )
    if image.is_pending:
        response.status_code = 202
        if preference is not RespondAsync.NEVER:
            response.headers["Preference-Applied"] = "respond-async"
    return ImageView.of(await services.views.sign(image), base_url=str(request.base_url))


def _ways(uploads: Uploads) -> dict[RespondAsync, Callable[..., Awaitable[Image]]]:
    return {
        RespondAsync.NEVER: uploads.receive,
        RespondAsync.IF_BUSY: uploads.receive_rendered_if_possible,
        RespondAsync.ALWAYS: uploads.receive_unrendered,
    }


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
    """One of your images by its id; or, by an EAN of 8 to 14 digits, the newest that was fetched for that product."""
    image = await _find(user, services, image_id)
    return ImageView.of(await services.views.sign(image), base_url=str(request.base_url))


async def _find(user: User, services: Services, image_id: str) -> Image:
    if not looks_like_ean(image_id):
        return await services.library.get(user, image_id)
    try:
        return await services.library.newest_of_product(user, normalise(image_id))
    except EanInvalid as error:
        raise ImageMissing(error.detail) from None


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


@router.post(
    "/{image_id}/thumbnails", status_code=202, responses=problems(*TOKEN_ERRORS, ImageMissing, TooManyAttempts)
)
async def retry_thumbnails(request: Request, image_id: str, user: CurrentUser, services: AppServices) -> ThumbnailsView:
    """Have the failed thumbnails of an image made once more, in the background."""
    signed = await services.views.sign(await services.thumbnails.make_failed_ones(user, image_id))
    base_url = str(request.base_url)
    return ThumbnailsView(
        thumbnails=[ThumbnailView.of(thumbnail, base_url=base_url) for thumbnail in signed.thumbnails]
    )


async def found_image(image_id: str, user: CurrentUser, services: AppServices) -> Image:
    return await services.library.get(user, image_id)


@router.get(
    "/{image_id}/events",
    response_class=EventSourceResponse,
    responses=problems(*TOKEN_ERRORS, ImageMissing),
    dependencies=[Depends(place)],
)
async def watch_image(
    request: Request,
    image: Annotated[Image, Depends(found_image)],
    user: CurrentUser,
    services: AppServices,
    watchers: AllWatchers,
    last_event_id: LastEventId = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events, one named `image` for each change, until no thumbnail is `pending`.

    A stream may end before that: ask again with `Last-Event-ID`, and what you have seen is not sent again.
    """

    async def read() -> ImageView:
        signed = await services.views.sign(await services.library.get(user, image.id))
        return ImageView.of(signed, base_url=str(request.base_url))

    def is_over(seen: ImageView) -> bool:
        return all(thumbnail.status is not ThumbnailStatus.PENDING for thumbnail in seen.thumbnails)

    async for event in events(watchers, "image", read=read, is_over=is_over, last_event_id=last_event_id):
        yield event


@router.get("/{image_id}/thumbnails/{size}", responses=problems(*TOKEN_ERRORS, ImageMissing, ThumbnailMissing))
async def read_thumbnail(
    request: Request, image_id: str, size: int, user: CurrentUser, services: AppServices
) -> ThumbnailView:
    """How one size of an image stands."""
    image, thumbnail = await services.library.thumbnail(user, image_id, size)
    signed = await services.views.sign_thumbnail(image, thumbnail)
    return ThumbnailView.of(signed, base_url=str(request.base_url))
