"""The calls that are neither uploads nor downloads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict
from urllib.parse import quote
from uuid import uuid4

from image_upload_client.errors import ImageServiceError
from image_upload_client.exchange import Operation, Request, call, call_json
from image_upload_client.models import FocalPoint, ImagePage, Job, Limits, Share, SharePage

PAGE_SIZE = 100
_MAX_IDS = 100
_WAIT_SECONDS = 20


class ImageChanges(TypedDict, total=False):
    """Omitted fields are not changed. A description of None removes it, and a focal point of None is the center.

    `custom_metadata` replaces all pairs, and None removes them.
    """

    filename: str
    description: str | None
    focal_point: FocalPoint | None
    custom_metadata: dict[str, str] | None


class ListOptions(TypedDict, total=False):
    """The order, newest first, and the period of a list of images."""

    sort: Literal["uploaded_at", "taken_at"]
    """By upload, or by the time at which the image was taken, which is the default of a period."""
    taken_after: str
    """Only images taken at this time or later: a date or a time without an offset, such as `2024-05-01`."""
    taken_before: str
    """Only images taken before this time."""


class ShareOptions(TypedDict, total=False):
    """What is omitted when a share is changed stays. None removes the title, the expiry or the password."""

    title: str | None
    expires_at: str | None
    """An ISO 8601 time with an offset. By default a share is valid until it is revoked."""
    password: str | None
    """The receiver has to enter it."""
    download: Literal["none", "rendition"]
    """What the receiver may download. By default nothing."""


def page_of_images(cursor: str | None, options: ListOptions) -> Operation[ImagePage]:
    query: dict[str, Any] = {"limit": PAGE_SIZE, **options, **({"cursor": cursor} if cursor else {})}
    page: ImagePage = yield from call_json("GET", "/images", query=query)
    return page


def image_path(image_id: str) -> str:
    return f"/images/{quote(image_id, safe='')}"


def delete(path: str, *, missing: str) -> Operation[None]:
    """Delete what is at the path. The error code `missing` counts as success."""
    try:
        yield from call_json("DELETE", path)
    except ImageServiceError as error:
        # Either there is no such thing, or the response to an earlier attempt was lost.
        if error.code != missing:
            raise


def delete_many(image_ids: Sequence[str]) -> Operation[dict[str, str]]:
    results: dict[str, str] = {}
    for start in range(0, len(image_ids), _MAX_IDS):
        body = {"ids": list(image_ids[start : start + _MAX_IDS])}
        response = yield from call_json("POST", "/images/delete", json=body)
        results |= response["results"]
    return results


def create_share(image_ids: Sequence[str], options: ShareOptions) -> Operation[Share]:
    body = {"image_ids": list(image_ids), **options}
    share: Share = yield from call_json("POST", "/shares", json=body, is_safe=False)
    return share


def page_of_shares(cursor: str | None) -> Operation[SharePage]:
    query: dict[str, str | int] = {"limit": PAGE_SIZE, **({"cursor": cursor} if cursor else {})}
    page: SharePage = yield from call_json("GET", "/shares", query=query)
    return page


def share_path(share_id: str) -> str:
    return f"/shares/{quote(share_id, safe='')}"


def fetch_product_image(ean: str, *, description: str | None, idempotency_key: str | None) -> Operation[Job]:
    headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
    body = {"ean_code": ean, "description": description}
    response = yield from call(Request(method="POST", path="/fetch-image", headers=headers, json=body))
    job: Job = response.json()
    return job


def wait_for_job(job_id: str, on_change: Callable[[Job], None] | None) -> Operation[Job]:
    """Return the completed job. Raises ImageServiceError with the code of the job's error if it failed."""
    while True:
        job: Job = yield from call_json("GET", f"/jobs/{job_id}", query={"wait": _WAIT_SECONDS})
        if on_change:
            on_change(job)
        if job["status"] == "completed":
            return job
        if job["status"] == "failed":
            error: dict[str, Any] = dict(job["error"] or {})
            raise ImageServiceError(error.get("code", "internal"), error.get("detail", job["message"]))


def limits() -> Operation[Limits]:
    found: Limits = (yield from call(Request(method="GET", path="/limits", needs_token=False))).json()
    return found
