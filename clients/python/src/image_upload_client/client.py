"""The client for programs without asyncio. AsyncImageClient has the same functions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

import httpx

from image_upload_client import downloads, operations, tokens
from image_upload_client.errors import ImageServiceError
from image_upload_client.exchange import FilePart, Operation, Request, Response, call_json, check_chunk
from image_upload_client.models import Account, Image, Job, Limits, Share, Timeline
from image_upload_client.operations import ImageChanges, ListOptions, ShareOptions, image_path, share_path
from image_upload_client.tokens import TokenStore
from image_upload_client.transport import (
    TIMEOUT,
    USER_AGENT,
    api_url,
    arguments,
    errors_of_httpx,
    headers_of,
    is_token_refused,
    target_of,
)
from image_upload_client.uploads import UploadOptions, upload

T = TypeVar("T")


class ImageClient:
    """The images of one user. Every function raises ImageServiceError, and several threads may use one client.

    `auth` is a token, for example a server key, or the tokens of a user, which `sign_in` and `register` fill in.
    `headers` are sent with each request, for example `X-On-Behalf-Of`. Raises ValueError if `base_url` is not a URL.
    """

    def __init__(
        self, base_url: str, auth: str | TokenStore | None = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        self._api = api_url(base_url)
        self._auth = TokenStore() if auth is None else auth
        self._renewing = threading.Lock()
        self._limits: Limits | None = None
        self._http = httpx.Client(timeout=TIMEOUT, headers={"User-Agent": USER_AGENT, **(headers or {})})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def register(
        self, email: str, password: str, *, display_name: str | None = None, invitation: str | None = None
    ) -> None:
        """Create an account, and sign in."""
        fields = {"email": email, "password": password, "display_name": display_name, "invitation": invitation}
        body = {name: value for name, value in fields.items() if value is not None}
        self._run(tokens.register(self._token_store(), body))

    def sign_in(self, email: str, password: str) -> None:
        self._run(tokens.sign_in(self._token_store(), email, password))

    def sign_out(self) -> None:
        """End the session, and forget the tokens even if this fails."""
        self._run(tokens.sign_out(self._token_store()))

    def upload(self, file: str | Path | bytes, **options: Unpack[UploadOptions]) -> Image:
        """Upload a file. When this returns, the original and the image are durable.

        Files above the `resumable_upload_from` of the service are sent as resumable uploads. Failures that may be
        temporary are repeated, for about three minutes without progress if the upload is resumable.
        """
        if self._limits is None:
            self._limits = self.limits()
        content = Path(file) if isinstance(file, str) else file
        return self._run(upload(content, options, self._limits))

    def list(self, **options: Unpack[ListOptions]) -> Iterator[Image]:
        """Yield all images, newest first. Pages are requested when they are needed."""
        cursor: str | None = None
        while True:
            page = self._run(operations.page_of_images(cursor, options))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def timeline(self) -> Timeline:
        """Count the images by the month in which they were taken, newest first."""
        timeline: Timeline = self.request("GET", "/images/timeline")
        return timeline

    def get(self, image_id: str) -> Image:
        """Return an image by its id, or the newest one that was fetched for an EAN."""
        image: Image = self.request("GET", image_path(image_id))
        return image

    def update(self, image_id: str, **changes: Unpack[ImageChanges]) -> Image:
        """Change the filename, the description, the focal point or the custom metadata."""
        image: Image = self.request("PATCH", image_path(image_id), json=changes)
        return image

    def delete(self, image_id: str) -> None:
        """Delete an image with its original and thumbnails. If there is no such image, this does nothing."""
        self._run(operations.delete(image_path(image_id), missing="image_missing"))

    def delete_many(self, image_ids: Sequence[str]) -> dict[str, str]:
        """Delete images. Returns for each id `deleted`, or an error code such as `image_missing`."""
        return self._run(operations.delete_many(image_ids))

    def download(self, image_id: str, path: str | Path) -> Image:
        """Save the original, replacing an existing file, and return the image. Interrupted downloads are continued."""
        return self._run(downloads.download_image(image_id, Path(path)))

    def create_share(self, image_ids: Sequence[str], **options: Unpack[ShareOptions]) -> Share:
        """Make a link that shows 1 to 500 images. Its `url` is the page that the receiver opens."""
        return self._run(operations.create_share(image_ids, options))

    def list_shares(self) -> Iterator[Share]:
        """Yield all shares, newest first. Pages are requested when they are needed."""
        cursor: str | None = None
        while True:
            page = self._run(operations.page_of_shares(cursor))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def update_share(self, share_id: str, **changes: Unpack[ShareOptions]) -> Share:
        """Change a share. Omitted fields are not changed, and None removes the title, the expiry or the password."""
        share: Share = self.request("PATCH", share_path(share_id), json=changes)
        return share

    def revoke_share(self, share_id: str) -> None:
        """Revoke the link, which then shows nothing. If there is no such share, this does nothing."""
        self._run(operations.delete(share_path(share_id), missing="share_missing"))

    def fetch_product_image(
        self, ean: str, *, description: str | None = None, idempotency_key: str | None = None
    ) -> Job:
        """Start a job that fetches the image of a product."""
        return self._run(operations.fetch_product_image(ean, description=description, idempotency_key=idempotency_key))

    def export_images(self) -> Job:
        """Start a job that packs all originals into a ZIP file, which `download_export` saves."""
        job: Job = self.request("POST", "/auth/me/export", is_safe=False)
        return job

    def download_export(self, job_id: str, path: str | Path) -> None:
        """Save the ZIP file of a completed export, replacing an existing file."""
        self._run(downloads.download_export(job_id, Path(path)))

    def wait_for_job(self, job_id: str, *, on_change: Callable[[Job], None] | None = None) -> Job:
        """Return the completed job. Raises ImageServiceError with the code of the job's error if the job failed."""
        return self._run(operations.wait_for_job(job_id, on_change))

    def limits(self) -> Limits:
        return self._run(operations.limits())

    def account(self) -> Account:
        """Return the account and its usage."""
        account: Account = self.request("GET", "/auth/me")
        return account

    def request(self, method: str, path: str, *, json: object = None, is_safe: bool = True) -> Any:  # noqa: ANN401
        """Call another route, for example `request("GET", "/auth/sessions")`, and return the JSON of its response.

        `is_safe` is whether the request may be repeated after a failure that may be temporary.
        """
        return self._run(call_json(method, path, json=json, is_safe=is_safe))

    def _token_store(self) -> TokenStore:
        if isinstance(self._auth, str):
            raise TypeError("This client has a fixed token. Create it without `auth` to sign in.")
        return self._auth

    def _run(self, operation: Operation[T]) -> T:
        try:
            request = next(operation)
            while True:
                try:
                    response = self._send(request)
                except ImageServiceError as error:
                    request = operation.throw(error)
                else:
                    request = operation.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            operation.close()

    def _send(self, request: Request) -> Response:
        time.sleep(request.delay)
        token = self._token(refused=None) if request.needs_token else None
        response = self._exchange(request, token)
        if token is not None and not isinstance(self._auth, str) and is_token_refused(response):
            response = self._exchange(request, self._token(refused=token))
        return response

    def _token(self, *, refused: str | None) -> str:
        if isinstance(self._auth, str):
            return self._auth
        with self._renewing:
            return self._run(tokens.current_token(self._auth, refused=refused))

    def _exchange(self, request: Request, token: str | None) -> Response:
        content = _chunks(request.file) if request.file else None
        with (
            errors_of_httpx(),
            self._http.stream(**arguments(self._api, request, token), content=content) as response,
        ):
            if file := target_of(request, response):
                for chunk in response.iter_raw():
                    file.write(chunk)
                body = b""
            else:
                body = response.read()
            return Response(response.status_code, headers_of(response), body)


def _chunks(part: FilePart) -> Iterator[bytes]:
    with part.open() as file:
        for size in part.chunk_sizes():
            yield check_chunk(file.read(size), size)
