"""The S3 store with a CDN: URLs that read objects are those of the CDN, which checks them and asks S3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.domain.object_keys import EXPORTS_PREFIX, IMAGES_PREFIX
from app.ports.storage import ObjectStore
from app.storage.s3.cloudfront import CloudFrontSigner
from app.storage.s3.credentials import SharedCredentials
from app.storage.s3.presigner import Presigner
from app.storage.s3.store import S3ObjectStore
from tests.aws_emulators import AwsEmulator
from tests.contracts.object_stores import open_s3
from tests.fake_cloudfront import READABLE, fake_cloudfront
from tests.reconcile_helpers import system_clock

KEY_PAIR_ID = "K2JCJMDEHXQW5F"
TTL, WINDOW = 3600, 900


@pytest_asyncio.fixture
async def store(aws: AwsEmulator) -> AsyncIterator[S3ObjectStore]:
    private_key = ec.generate_private_key(ec.SECP256R1())
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with (
        open_s3(aws.service("s3")) as opened,
        fake_cloudfront(
            opened.client, bucket=aws.bucket, public_key=private_key.public_key(), key_pair_id=KEY_PAIR_ID
        ) as url,
    ):
        cdn = CloudFrontSigner(
            url=url, key_pair_id=KEY_PAIR_ID, private_key=pem, ttl_seconds=TTL, window_seconds=WINDOW
        )
        presigner = Presigner(
            SharedCredentials(opened.credentials),
            bucket=aws.bucket,
            region=aws.region,
            endpoint_url=aws.url,
            ttl_seconds=TTL,
            window_seconds=WINDOW,
        )
        yield S3ObjectStore(opened.client, bucket=aws.bucket, signer=presigner, clock=system_clock, cdn=cdn)


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(url)


async def put(store: ObjectStore, key: str) -> str:
    await store.put(key, b"content", content_type="image/jpeg")
    return key


async def test_an_object_is_displayed_inline(store: S3ObjectStore) -> None:
    response = await get((await store.sign_url(await put(store, "images/cdn/a.jpg"))).url)
    assert (response.status_code, response.content) == (200, b"content")
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert "Content-Disposition" not in response.headers


async def test_a_url_with_a_filename_is_a_download_under_that_name(store: S3ObjectStore) -> None:
    signed = await store.sign_url(await put(store, "images/cdn/a.jpg"), filename='für "É"*?.jpg')
    response = await get(signed.url)
    assert response.status_code == 200
    assert response.headers["Content-Disposition"] == (
        "attachment; filename=\"f_r ___*?.jpg\"; filename*=UTF-8''f%C3%BCr%20%22%C3%89%22%2A%3F.jpg"
    )


async def test_only_the_signed_object_can_be_read(store: S3ObjectStore) -> None:
    url = (await store.sign_url(await put(store, "images/cdn/a.jpg"))).url
    other = await put(store, "images/cdn/b.jpg")
    for refused in (url.replace("images/cdn/a.jpg", other), url.split("?")[0], url.replace("Expires=1", "Expires=2")):
        assert (await get(refused)).status_code == 403


async def test_files_that_have_not_been_validated_cannot_be_read(store: S3ObjectStore) -> None:
    assert set(READABLE) == {IMAGES_PREFIX, EXPORTS_PREFIX}
    url = (await store.sign_url(await put(store, "incoming/cdn/a"))).url
    assert (await get(url)).status_code == 403


async def test_files_are_uploaded_to_s3(store: S3ObjectStore, aws: AwsEmulator) -> None:
    hour = datetime.now(UTC) + timedelta(hours=1)
    form = await store.presign_post("incoming/a", content_type="image/png", size=1, sha256=None, expires_at=hour)
    put_url = await store.presign_put("incoming/a", size=1, expires_at=hour)
    assert form.url.startswith(aws.url)
    assert put_url.url.startswith(aws.url)
