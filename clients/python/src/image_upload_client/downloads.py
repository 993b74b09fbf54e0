"""Downloads to a file, which continue after an interruption."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from image_upload_client.errors import ImageServiceError
from image_upload_client.exchange import PATIENT_DELAYS, Operation, Request, call, call_json, check, wait_after
from image_upload_client.models import Image


def download_image(image_id: str, path: Path) -> Operation[Image]:
    """Save the original of an image, replacing an existing file, and return the image.

    Raises ImageServiceError `file_changed` if the file that arrived is not the original.
    """
    image: Image = yield from call_json("GET", f"/images/{image_id}")
    redirect = yield from call(Request(method="GET", path=f"/images/{image_id}/file", expects_redirect=True))
    yield from download(redirect.headers["location"], path, sha256=image["sha256"])
    return image


def download(url: str, path: Path, *, sha256: str | None = None) -> Operation[None]:
    """Save what a signed URL returns. The file appears at `path` when it is complete."""
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        with part.open("x+b") as file:
            yield from _receive(url, file)
            file.seek(0)
            if sha256 and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise ImageServiceError("file_changed", "The file that arrived is not the original. Download it again.")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _receive(url: str, file: BinaryIO) -> Operation[None]:
    delay, remaining = 0.0, iter(PATIENT_DELAYS)
    while True:
        position = file.tell()
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={position}-"} if position else {})}
        request = Request(method="GET", path=url, headers=headers, needs_token=False, save_to=file, delay=delay)
        try:
            check(request, (yield request))
        except ImageServiceError as error:
            if file.tell() > position:
                remaining = iter(PATIENT_DELAYS)
            next_delay = wait_after(error, next(remaining, None))
            if next_delay is None:
                raise
            delay = next_delay
        else:
            return


def download_export(job_id: str, path: Path) -> Operation[None]:
    """Save the ZIP file of a completed export, replacing an existing file.

    Raises ImageServiceError `object_missing` if the file is no longer kept.
    """
    job = yield from call_json("GET", f"/jobs/{job_id}")
    url = (job["result"] or {}).get("url")
    if not url:
        raise ImageServiceError("object_missing", "The file of this export is no longer kept. Start another export.")
    yield from download(url, path)
