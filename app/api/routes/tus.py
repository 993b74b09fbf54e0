"""Resumable uploads with the protocol tus 1.0.0 and its extensions in `EXTENSIONS`."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import format_datetime
from typing import Annotated, Any
from urllib.parse import urljoin

from fastapi import Depends, Header, Request, Response

from app.api.auditing import set_audited
from app.api.dependencies import CurrentUser, ServicesDep, UserOrServerRoute
from app.api.errors import TOKEN_ERRORS, TUS_VERSION, problems
from app.api.middleware import allow_body
from app.api.router import ApiRouter
from app.api.schemas.fields import Id
from app.api.tus_headers import OFFSET_STREAM, parse_checksum, parse_metadata, require_offset_stream, require_version
from app.api.upload_slots import LimitedUpload
from app.domain.accounts import User
from app.domain.errors import (
    ChecksumMismatch,
    FileEmpty,
    FormatUnsupported,
    ImageCorrupt,
    ImageTooExpensive,
    ImageTooLarge,
    MethodNotAllowed,
    OffsetStreamRequired,
    QuotaExceeded,
    RequestInProgress,
    TooManyOpenUploads,
    TooManyUploads,
    TusVersionUnsupported,
    UploadLocked,
    UploadMismatch,
    UploadMissing,
    UploadOffsetMismatch,
    UploadTooLarge,
)
from app.domain.uploads import DirectUpload
from app.services.resumable_uploads import Progress, ResumableUploads

EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
_LARGEST_CHUNK = 1024 * 1024
_PATH = "api/v1/images/tus"

public_router = ApiRouter(prefix="/images/tus", tags=["resumable uploads"])
router = ApiRouter(
    prefix="/images/tus",
    tags=["resumable uploads"],
    route_class=UserOrServerRoute,
    dependencies=[Depends(require_version)],
)

_BODY: dict[str, Any] = {
    "requestBody": {"content": {OFFSET_STREAM: {"schema": {"type": "string", "format": "binary"}}}},
}
_IMAGE_ERRORS = (
    RequestInProgress,
    UploadMismatch,
    FormatUnsupported,
    ImageCorrupt,
    ImageTooLarge,
    ImageTooExpensive,
    QuotaExceeded,
)
_VERSION = {
    "parameters": [
        {"name": "Tus-Resumable", "in": "header", "required": True, "schema": {"type": "string", "enum": [TUS_VERSION]}}
    ]
}

Checksum = Annotated[
    str | None, Header(alias="Upload-Checksum", description="`sha1`, a space, and the SHA-1 of the body in base64.")
]


@public_router.options("", include_in_schema=False)
@public_router.options("/{upload_id}", include_in_schema=False)
async def describe_tus(services: ServicesDep) -> Response:
    """Describe the protocol. Needs no token."""
    headers = {
        "Tus-Resumable": TUS_VERSION,
        "Tus-Version": TUS_VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(services.resumable_uploads.max_bytes),
        "Tus-Checksum-Algorithm": "sha1",
    }
    return Response(status_code=204, headers=headers)


@router.post(
    "",
    status_code=201,
    response_class=Response,
    openapi_extra=_BODY | _VERSION,
    dependencies=[LimitedUpload],
    responses=problems(
        *TOKEN_ERRORS,
        *_IMAGE_ERRORS,
        TusVersionUnsupported,
        OffsetStreamRequired,
        FileEmpty,
        UploadTooLarge,
        TooManyOpenUploads,
        TooManyUploads,
        UploadLocked,
        UploadMissing,
        ChecksumMismatch,
    ),
)
async def create_resumable_upload(
    request: Request,
    user: CurrentUser,
    services: ServicesDep,
    length: Annotated[int, Header(alias="Upload-Length", ge=0, description="The size of the file in bytes.")],
    metadata: Annotated[
        str | None,
        Header(
            alias="Upload-Metadata",
            description="`filename`, `description`, `sha256` and `custom_metadata` (JSON), each with its base64.",
        ),
    ] = None,
    checksum: Checksum = None,
) -> Response:
    """Create a resumable upload, whose URL is in `Location`. The body may contain the first bytes of the file."""
    set_audited(request, targets=[])
    described, sha1 = parse_metadata(metadata), parse_checksum(checksum)
    has_bytes = "content-type" in request.headers
    if has_bytes:
        require_offset_stream(request)
    uploads = services.resumable_uploads
    upload = await uploads.create(
        user,
        size=length,
        filename=described.filename,
        description=described.description,
        sha256=described.sha256,
        custom_metadata=described.custom_metadata,
    )
    progress = Progress(upload)
    if has_bytes:
        progress = await _append(request, uploads, user, upload.id, offset=0, sha1=sha1)
    location = urljoin(str(request.base_url), f"{_PATH}/{upload.id}")
    return Response(status_code=201, headers={"Location": location, **_headers(request, progress)})


@router.get(
    "/{upload_id}",
    response_class=Response,
    openapi_extra=_VERSION,
    responses=problems(*TOKEN_ERRORS, TusVersionUnsupported, UploadMissing),
)
async def get_resumable_upload(request: Request, upload_id: Id, user: CurrentUser, services: ServicesDep) -> Response:
    """Report in `Upload-Offset` how many bytes were received. Clients send HEAD."""
    upload = await services.resumable_uploads.get(user, upload_id)
    headers = {"Upload-Length": str(upload.size), "Cache-Control": "no-store"}
    return Response(headers={**headers, **_headers(request, Progress(upload))})


@router.patch(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    openapi_extra=_BODY | _VERSION,
    dependencies=[LimitedUpload],
    responses=problems(
        *TOKEN_ERRORS,
        *_IMAGE_ERRORS,
        TusVersionUnsupported,
        OffsetStreamRequired,
        UploadMissing,
        UploadOffsetMismatch,
        UploadTooLarge,
        TooManyUploads,
        UploadLocked,
        ChecksumMismatch,
    ),
)
async def send_resumable_upload(
    request: Request,
    upload_id: Id,
    user: CurrentUser,
    services: ServicesDep,
    offset: Annotated[int, Header(alias="Upload-Offset", ge=0, description="Where the body begins in the file.")],
    checksum: Checksum = None,
) -> Response:
    """Send bytes. The last ones create the image, which `Content-Location` names, or the upload is deleted."""
    require_offset_stream(request)
    uploads = services.resumable_uploads
    progress = await _append(request, uploads, user, upload_id, offset=offset, sha1=parse_checksum(checksum))
    return Response(status_code=204, headers=_headers(request, progress))


@router.delete(
    "/{upload_id}",
    status_code=204,
    openapi_extra=_VERSION,
    responses=problems(*TOKEN_ERRORS, TusVersionUnsupported, UploadMissing),
)
async def terminate_resumable_upload(upload_id: Id, user: CurrentUser, services: ServicesDep) -> Response:
    """Delete an upload and the bytes that were received. An image that was created from it stays."""
    await services.resumable_uploads.terminate(user, upload_id)
    return Response(status_code=204, headers={"Tus-Resumable": TUS_VERSION})


@router.post("/{upload_id}", include_in_schema=False)
async def override_method(
    request: Request,
    upload_id: Id,
    user: CurrentUser,
    services: ServicesDep,
    offset: Annotated[int, Header(alias="Upload-Offset", ge=0)] = 0,
    checksum: Checksum = None,
) -> Response:
    """Handle the methods of clients whose environment allows only GET and POST."""
    set_audited(request, targets=[])
    match request.headers.get("x-http-method-override", "").upper():
        case "PATCH":
            return await send_resumable_upload(request, upload_id, user, services, offset, checksum)
        case "DELETE":
            return await terminate_resumable_upload(upload_id, user, services)
        case _:
            raise MethodNotAllowed


async def _append(
    request: Request, uploads: ResumableUploads, user: User, upload_id: str, *, offset: int, sha1: bytes | None
) -> Progress:
    allow_body(request.scope, max_bytes=uploads.max_bytes + _LARGEST_CHUNK)
    progress = await uploads.append(user, upload_id, offset=offset, body=request.stream(), sha1=sha1)
    set_audited(request, targets=[progress.image.id] if progress.image else [])
    return progress


def _headers(request: Request, progress: Progress) -> Mapping[str, str]:
    upload: DirectUpload = progress.upload
    headers = {
        "Tus-Resumable": TUS_VERSION,
        "Upload-Offset": str(upload.received),
        "Upload-Expires": format_datetime(upload.expires_at, usegmt=True),
    }
    if progress.image is not None:
        headers["Content-Location"] = urljoin(str(request.base_url), f"api/v1/images/{progress.image.id}")
    return headers
