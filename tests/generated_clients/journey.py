"""The journey of a user with the client that openapi-python-client generates. Arguments: the URL and a photo."""

from __future__ import annotations

import sys
import time
from http import HTTPStatus
from io import BytesIO
from pathlib import Path

from image_upload_service_client import AuthenticatedClient, Client
from image_upload_service_client.api.accounts import export_account, register, sign_in
from image_upload_service_client.api.background_jobs import get_job
from image_upload_service_client.api.images import (
    delete_image,
    get_image,
    list_images,
    list_thumbnails,
    update_image,
    upload_image,
)
from image_upload_service_client.models import (
    EditBody,
    ImagePageView,
    ImageView,
    JobStatus,
    JobView,
    Problem,
    RegisterBody,
    RegisteredView,
    ThumbnailStatus,
    ThumbnailsView,
    TokenForm,
    TokenView,
    UploadImageFilesBody,
)
from image_upload_service_client.types import File

PASSWORD = "a long enough passphrase"


def signed_in(url: str) -> AuthenticatedClient:
    email = f"user-{time.time_ns()}@example.com"
    with Client(base_url=url, raise_on_unexpected_status=True) as client:
        registered = register.sync(client=client, body=RegisterBody(email=email, password=PASSWORD))
        assert isinstance(registered, RegisteredView)
        assert registered.user.email == email
        tokens = sign_in.sync(client=client, body=TokenForm(username=email, password=PASSWORD))
        assert isinstance(tokens, TokenView)
    return AuthenticatedClient(base_url=url, token=tokens.access_token, raise_on_unexpected_status=True)


def use_images(client: AuthenticatedClient, photo: bytes) -> None:
    body = UploadImageFilesBody(file=File(BytesIO(photo), file_name="beach.jpg"), description="At the sea")
    image = upload_image.sync(client=client, body=body, idempotency_key="one")
    assert isinstance(image, ImageView)
    assert image.size == len(photo)

    page = list_images.sync(client=client, limit=10)
    assert isinstance(page, ImagePageView)
    assert [item.id for item in page.items] == [image.id]
    assert page.next_cursor is None

    read = get_image.sync(image.id, client=client)
    assert isinstance(read, ImageView)
    assert read.description == "At the sea"

    edited = update_image.sync(image.id, client=client, body=EditBody(description=None))
    assert isinstance(edited, ImageView)
    assert (edited.filename, edited.description) == ("beach.jpg", None)

    listed = list_thumbnails.sync(image.id, client=client)
    assert isinstance(listed, ThumbnailsView)
    assert {thumbnail.status for thumbnail in listed.thumbnails} == {ThumbnailStatus.READY}

    export(client)

    assert delete_image.sync_detailed(image.id, client=client).status_code is HTTPStatus.NO_CONTENT
    missing = get_image.sync(image.id, client=client)
    assert isinstance(missing, Problem)
    assert (missing.code, missing.status) == ("image_missing", 404)


def export(client: AuthenticatedClient) -> None:
    job = export_account.sync(client=client)
    assert isinstance(job, JobView)
    while job.finished_at is None:
        job = get_job.sync(job.job_id, client=client, wait=20)
        assert isinstance(job, JobView)
    assert job.status is JobStatus.COMPLETED
    assert job.result
    assert job.result.url


if __name__ == "__main__":
    with signed_in(sys.argv[1]) as client:
        use_images(client, Path(sys.argv[2]).read_bytes())
    sys.stdout.write("completed\n")
