"""Serves the objects of a local store under their signed URLs. Not used if S3 serves them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urljoin

from fastapi import Depends, Query, Request
from fastapi.responses import FileResponse, Response

from app.api.dependencies import ServicesDep
from app.api.errors import problems
from app.api.multipart import read_form
from app.api.object_responses import object_response
from app.api.router import ApiRouter
from app.api.upload_sink import UploadSink, read_body
from app.api.upload_slots import LimitedUpload
from app.domain.errors import (
    DigestMismatch,
    FileEmpty,
    FileMissing,
    FileRepeated,
    FormExpired,
    FormInvalid,
    MultipartInvalid,
    MultipartRequired,
    ObjectMissing,
    RangeUnsatisfiable,
    TooManyUploads,
    UploadTooLarge,
    UrlExpired,
    UrlInvalid,
)
from app.domain.objects import PresignedPostClaims
from app.ports.storage import LocalObjects

router = ApiRouter(prefix="/objects", tags=["objects"])

_FORM_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "additionalProperties": {"type": "string"},
                }
            }
        },
    }
}
_RAW_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_TIME = re.compile(r"[0-9]{1,12}")


async def _local_objects(services: ServicesDep) -> LocalObjects:
    if services.local_objects is None:
        raise UrlInvalid
    return services.local_objects


@router.head("/{key:path}", include_in_schema=False)
@router.get(
    "/{key:path}",
    response_class=FileResponse,
    responses={
        206: {"description": "The requested range."},
        304: {"description": "The ETag in the request is current."},
        **problems(UrlInvalid, UrlExpired, ObjectMissing, RangeUnsatisfiable),
    },
)
async def get_object(
    request: Request,
    key: str,
    objects: Annotated[LocalObjects, Depends(_local_objects)],
    expires: str = "",
    signature: str = "",
    filename: Annotated[str | None, Query()] = None,
) -> Response:
    """Read an original or a thumbnail by a signed URL of an earlier response."""
    if not _TIME.fullmatch(expires):
        raise UrlInvalid
    found = await objects.open_signed(
        key, expires=int(expires), filename=filename, signature=signature, now=datetime.now(UTC)
    )
    return object_response(request, found, filename=filename)


@router.post(
    "",
    status_code=204,
    openapi_extra=_FORM_BODY,
    dependencies=[LimitedUpload],
    responses=problems(
        MultipartRequired,
        MultipartInvalid,
        FileMissing,
        FileRepeated,
        FileEmpty,
        UploadTooLarge,
        FormInvalid,
        FormExpired,
        TooManyUploads,
    ),
)
async def post_object(
    request: Request, objects: Annotated[LocalObjects, Depends(_local_objects)], services: ServicesDep
) -> Response:
    """Store the file of a direct upload, with the form that its initiation returned."""
    async with services.temp_files.file() as file:
        started: list[tuple[PresignedPostClaims, UploadSink]] = []

        def begin_file(fields: dict[str, str]) -> UploadSink:
            claims = objects.verify_post(fields, now=datetime.now(UTC))
            sink = UploadSink(file, max_bytes=claims.size)
            started.append((claims, sink))
            return sink

        await read_form(request, begin_file, max_bytes=services.direct_uploads.max_bytes)
        ((claims, sink),) = started
        await services.direct_uploads.store_posted(claims, file, size=sink.size, sha256=sink.sha256)
    return _stored(request, claims, sink, status=204)


@router.put(
    "",
    openapi_extra=_RAW_BODY,
    dependencies=[LimitedUpload],
    response_class=Response,
    responses=problems(FileEmpty, UploadTooLarge, DigestMismatch, FormInvalid, FormExpired, TooManyUploads),
)
async def put_object(
    request: Request, objects: Annotated[LocalObjects, Depends(_local_objects)], services: ServicesDep
) -> Response:
    """Store the body of the request as the file of a direct upload, with the `put_url` that its initiation returned."""
    claims = objects.verify_post(request.query_params, now=datetime.now(UTC))
    async with services.temp_files.file() as file:
        sink = UploadSink(file, max_bytes=claims.size)
        await read_body(request, sink, max_bytes=claims.size)
        await services.direct_uploads.store_posted(claims, file, size=sink.size, sha256=sink.sha256)
    return _stored(request, claims, sink, status=200)


def _stored(request: Request, claims: PresignedPostClaims, sink: UploadSink, *, status: int) -> Response:
    # S3 sends both headers too, and clients such as Uppy wait for them.
    location = urljoin(str(request.base_url), f"api/v1/objects/{quote(claims.key)}")
    return Response(status_code=status, headers={"ETag": f'"{sink.sha256}"', "Location": location})
