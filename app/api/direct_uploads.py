"""Direct uploads: announce a file, send it straight into the store, have it checked."""

from __future__ import annotations

import hashlib
from functools import partial
from urllib.parse import urljoin

from fastapi import APIRouter, Request

from app.api.deps import AppServices, AuthenticatedRoute, CurrentUser, IdempotencyKey
from app.api.errors import IDEMPOTENCY_ERRORS, TOKEN_ERRORS, problems
from app.api.schemas import DirectUploadBody, DirectUploadView, ImageView
from app.core.errors import (
    FormatUnsupported,
    ImageCorrupt,
    ImageTooExpensive,
    ImageTooLarge,
    JsonInvalid,
    QuotaExceeded,
    RequestInProgress,
    UploadIncomplete,
    UploadMismatch,
    UploadMissing,
    UploadTooLarge,
)
from app.usecases.direct_uploads import Announcement

router = APIRouter(prefix="/images/uploads", tags=["direct uploads"], route_class=AuthenticatedRoute)


@router.post(
    "",
    status_code=201,
    responses=problems(
        *TOKEN_ERRORS, *IDEMPOTENCY_ERRORS, JsonInvalid, UploadTooLarge, FormatUnsupported, QuotaExceeded
    ),
)
async def open_upload(
    request: Request, body: DirectUploadBody, user: CurrentUser, services: AppServices, key: IdempotencyKey
) -> DirectUploadView:
    """Announce a file; the form in the answer stores exactly that file, for an hour, without a token."""
    announced = Announcement(**body.model_dump())
    uploads = services.direct_uploads
    if key is None:
        upload = await uploads.open(user, announced)
    else:
        upload = await services.once.run(
            user.id,
            f"key {key}",
            fingerprint=f"announce {hashlib.sha256(body.model_dump_json().encode()).hexdigest()}",
            find=partial(uploads.find, user),
            make=lambda claim: uploads.open(user, announced, claim=claim),
        )
    form = await uploads.sign(upload)
    return DirectUploadView(
        upload_id=upload.id,
        url=urljoin(str(request.base_url), form.url),
        fields=dict(form.fields),
        expires_at=form.expires_at,
    )


@router.post(
    "/{upload_id}/complete",
    responses=problems(
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
async def complete_upload(request: Request, upload_id: str, user: CurrentUser, services: AppServices) -> ImageView:
    """Have what has arrived checked and kept. Again it answers with the same image."""
    image = await services.direct_uploads.complete(user, upload_id)
    return ImageView.of(await services.views.sign(image), base_url=str(request.base_url))
