"""Uploads: one request for small files, and resumable uploads (tus 1.0.0) for large ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict
from uuid import uuid4

from image_upload_client.errors import ImageServiceError
from image_upload_client.exchange import (
    PATIENT_DELAYS,
    FilePart,
    Operation,
    Request,
    call,
    call_json,
    check,
    wait_after,
)
from image_upload_client.models import Image, Limits

_TUS = {"Tus-Resumable": "1.0.0"}


class UploadOptions(TypedDict, total=False):
    filename: str
    """By default the name of the file."""
    description: str
    """At most 2,000 characters."""
    custom_metadata: dict[str, str]
    """At most 20 pairs, with keys of 1 to 64 and values of at most 512 characters."""
    sha256: str
    """In hex. If it is given, the service refuses a file with another one."""
    idempotency_key: str
    """Names this upload, so that for a day a repeated call returns the same image. Not used by resumable uploads."""
    upload_id: str
    """The id of a resumable upload of this file, which is continued. It is also the id of the image."""
    on_created: Callable[[str], None]
    """Called with the id of a resumable upload before the file is sent."""
    on_progress: Callable[[int], None]
    """Called with the number of bytes of the file that were sent."""


@dataclass(frozen=True)
class _Source:
    part: FilePart
    filename: str
    options: UploadOptions
    max_request_size: int | None


def upload(content: Path | bytes, options: UploadOptions, limits: Limits) -> Operation[Image]:
    """Upload a file. Files above the `resumable_upload_from` of the service are sent as resumable uploads."""
    if isinstance(content, Path):
        size, name = content.stat().st_size, content.name
    else:
        size, name = len(content), "image"
    part = FilePart(content=content, size=size, on_progress=options.get("on_progress"))
    # The bytes of a filename may not be valid UTF-8.
    filename = (options.get("filename") or name).encode(errors="replace").decode()
    source = _Source(part, filename, options, limits["max_request_size"])
    if size > limits["resumable_upload_from"]:
        return (yield from _upload_resumable(source))
    return (yield from _upload_at_once(source))


def _upload_at_once(source: _Source) -> Operation[Image]:
    options = source.options
    headers = {
        "Content-Type": "application/octet-stream",
        "Idempotency-Key": options.get("idempotency_key") or str(uuid4()),
    }
    if sha256 := options.get("sha256"):
        headers["Content-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
    query = {"filename": source.filename}
    if description := options.get("description"):
        query["description"] = description
    if custom_metadata := options.get("custom_metadata"):
        query["custom_metadata"] = json.dumps(custom_metadata)
    request = Request(method="POST", path="/images/upload", headers=headers, query=query, file=source.part)
    response = yield from call(request, delays=PATIENT_DELAYS)
    image: Image = response.json()
    return image


def _upload_resumable(source: _Source) -> Operation[Image]:
    upload_id = source.options.get("upload_id")
    if upload_id:
        try:
            return (yield from _continue(source, upload_id))
        except ImageServiceError as error:
            if error.code not in {"upload_missing", "image_missing"}:
                raise
        try:
            # An upload expires a day after its creation, but its image stays.
            return (yield from _image(upload_id))
        except ImageServiceError as error:
            if error.code != "image_missing":
                raise
    upload_id = yield from _create(source)
    if on_created := source.options.get("on_created"):
        on_created(upload_id)
    return (yield from _continue(source, upload_id))


def _create(source: _Source) -> Operation[str]:
    options = source.options
    metadata = {"filename": source.filename}
    if description := options.get("description"):
        metadata["description"] = description
    if custom_metadata := options.get("custom_metadata"):
        metadata["custom_metadata"] = json.dumps(custom_metadata)
    if sha256 := options.get("sha256"):
        metadata["sha256"] = sha256
    headers = {
        **_TUS,
        "Upload-Length": str(source.part.size),
        "Upload-Metadata": ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in metadata.items()),
    }
    # After a lost response, the first upload stays empty and expires. It does not become an image.
    request = Request(method="POST", path="/images/tus", headers=headers)
    response = yield from call(request, delays=PATIENT_DELAYS)
    location = response.headers.get("location")
    if not location:
        raise ImageServiceError("unexpected_response", "The response to the creation of an upload has no Location.")
    return location.rpartition("/")[2]


def _continue(source: _Source, upload_id: str) -> Operation[Image]:
    """Send the part of the file that the service does not have, and repeat this after failures that may be temporary.

    The waits start again from the shortest one after an attempt of which the service received something.
    """
    path = f"/images/tus/{upload_id}"
    size, received = source.part.size, 0
    delay, remaining = 0.0, iter(PATIENT_DELAYS)
    while True:
        try:
            # GET returns the headers of HEAD, and describes errors in a body.
            status = Request(method="GET", path=path, headers=_TUS, delay=delay)
            offset = int(check(status, (yield status)).headers["upload-offset"])
            if offset > received:
                received, remaining = offset, iter(PATIENT_DELAYS)
            while offset < size:
                following = _next_request(path, source, offset)
                offset = int(check(following, (yield following)).headers["upload-offset"])
                received, remaining = offset, iter(PATIENT_DELAYS)
            return (yield from _image(upload_id))
        except ImageServiceError as error:
            next_delay = _wait_after(error, remaining)
            if next_delay is None:
                raise
            delay = next_delay


def _next_request(path: str, source: _Source, offset: int) -> Request:
    """Return the request that sends the rest of the file, or as much of it as the service accepts in one request."""
    end = min(source.part.size, offset + (source.max_request_size or source.part.size))
    headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return Request(method="PATCH", path=path, headers=headers, file=replace(source.part, offset=offset, end=end))


def _wait_after(error: ImageServiceError, remaining: Iterator[float]) -> float | None:
    delay = next(remaining, None)
    # Bytes of an interrupted request can still be stored after the next request has asked for their number.
    return delay if error.code == "upload_offset_mismatch" else wait_after(error, delay)


def _image(image_id: str) -> Operation[Image]:
    image: Image = yield from call_json("GET", f"/images/{image_id}")
    return image
