"""Direct uploads: initiate an upload, send the file straight to the object store, complete the upload."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any
from urllib.parse import urljoin

from fastapi import Request, Response

from app.api.dependencies import CurrentUser, IdempotencyKey, ServicesDep, UserOrServerRoute
from app.api.errors import IDEMPOTENCY_ERRORS, TOKEN_ERRORS, problems
from app.api.router import ApiRouter
from app.api.schemas.direct_uploads import DirectUploadBody, DirectUploadStateView, DirectUploadView
from app.api.schemas.fields import Id
from app.api.schemas.images import ImageView
from app.api.views import image_view
from app.domain.errors import (
    FormatUnsupported,
    ImageCorrupt,
    ImageTooExpensive,
    ImageTooLarge,
    JsonInvalid,
    QuotaExceeded,
    RequestInProgress,
    TooManyOpenUploads,
    UploadIncomplete,
    UploadMismatch,
    UploadMissing,
    UploadTooLarge,
)
from app.domain.uploads import UploadIntent

router = ApiRouter(prefix="/images/uploads", tags=["direct uploads"], route_class=UserOrServerRoute)


@router.post(
    "",
    status_code=201,
    responses=problems(
        *TOKEN_ERRORS,
        *IDEMPOTENCY_ERRORS,
        JsonInvalid,
        UploadTooLarge,
        FormatUnsupported,
        QuotaExceeded,
        TooManyOpenUploads,
    ),
)
async def initiate_upload(
    request: Request, body: DirectUploadBody, user: CurrentUser, services: ServicesDep, key: IdempotencyKey
) -> DirectUploadView:
    """Initiate a direct upload. The form and the URL in the response need no token and are valid for an hour.

    They store a file of exactly the declared size. The form also verifies the declared SHA-256 if there is one.
    """
    intent = UploadIntent(**body.model_dump())
    uploads = services.direct_uploads
    if key is None:
        upload = await uploads.initiate(user, intent)
    else:
        upload = await services.idempotency.run(
            user.id,
            f"key {key}",
            fingerprint=f"announce {_digest(body)}",
            find=partial(uploads.find, user),
            create=lambda claim: uploads.initiate(user, intent, claim=claim),
        )
    form, put = await uploads.presign(upload)
    return DirectUploadView(
        upload_id=upload.id,
        url=urljoin(str(request.base_url), form.url),
        fields=dict(form.fields),
        put_url=urljoin(str(request.base_url), put.url),
        expires_at=min(form.expires_at, put.expires_at),
    )


def _digest(body: DirectUploadBody) -> str:
    # The digest without custom metadata is that of earlier versions, so that a retry after an upgrade is accepted.
    text = body.model_dump_json(exclude=set() if body.custom_metadata else {"custom_metadata"})
    return hashlib.sha256(text.encode()).hexdigest()


@router.get("/{upload_id}", responses=problems(*TOKEN_ERRORS, UploadMissing))
async def get_upload(
    request: Request, upload_id: Id, user: CurrentUser, services: ServicesDep
) -> DirectUploadStateView:
    """Show whether an upload is pending, completed or refused.

    Where the store reports each file that arrives, uploads are completed without a call of the client.
    """
    state = await services.direct_uploads.state(user, upload_id)
    image = await image_view(request, services, state.image) if state.image else None
    return DirectUploadStateView.of(state, image=image)


_SCANNED_LATER: dict[int | str, dict[str, Any]] = {
    202: {"model": ImageView, "description": "Created; it is `pending` until the scanner has accepted it."}
}


@router.post(
    "/{upload_id}/complete",
    responses=_SCANNED_LATER
    | problems(
        *TOKEN_ERRORS,
        RequestInProgress,
        UploadMissing,
        UploadIncomplete,
        UploadMismatch,
        FormatUnsupported,
        ImageCorrupt,
        ImageTooLarge,
        ImageTooExpensive,
        QuotaExceeded,
    ),
)
async def complete_upload(
    request: Request, response: Response, upload_id: Id, user: CurrentUser, services: ServicesDep
) -> ImageView:
    """Validate the file that arrived and create its image. Repeated calls return the same image.

    If the upload is being completed already, the response is sent when that has ended.
    """
    image = await services.direct_uploads.complete(user, upload_id)
    if image.is_pending:
        response.status_code = 202
    return await image_view(request, services, image)
