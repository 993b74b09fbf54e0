"""Our presigned URLs and forms are botocore's to the letter, and the URLs repeat within a window."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import pytest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.sigv4 import Presigner, derive_signing_key
from app.core.bucket_address import BucketAddress, locate_bucket
from app.core.models import SignedForm, SignedUrl

TTL, WINDOW = 3600, 900
NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)

PLACES = [
    ("images", "eu-west-1", None),
    ("images", "us-east-1", None),
    ("images", "cn-north-1", None),
    ("my.images", "eu-west-1", None),
    ("images", "eu-west-1", "http://127.0.0.1:4566"),
    ("images", "eu-west-1", "http://[::1]:9000"),
    ("images", "eu-west-1", "https://Files.example.com:443/base/"),
]
CREDENTIALS = [
    ReadOnlyCredentials("AKIDEXAMPLE", "secret/+x", None, None),
    ReadOnlyCredentials("ASIAEXAMPLE", "other", "to/ken+==", None),
]


class Source:
    def __init__(self, credentials: ReadOnlyCredentials) -> None:
        self.credentials = credentials

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return self.credentials


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now.timestamp()


def presigner(
    source: Source, clock: Clock, *, bucket: str = "images", region: str = "eu-west-1", endpoint_url: str | None = None
) -> Presigner:
    return Presigner(
        source,
        bucket=bucket,
        region=region,
        endpoint_url=endpoint_url,
        ttl_seconds=TTL,
        window_seconds=WINDOW,
        clock=clock,
    )


def sign(signer: Presigner, key: str = "a.jpg", **overrides: str | None) -> SignedUrl:
    return asyncio.run(signer.sign(key, **overrides))


def sign_form(signer: Presigner, key: str, **announced: Any) -> SignedForm:
    return asyncio.run(signer.sign_form(key, **announced))


class Pair:
    """Our presigner and botocore's, for the same bucket and credentials at the same instant."""

    def __init__(self, place: tuple[str, str, str | None], credentials: ReadOnlyCredentials) -> None:
        bucket, region, endpoint_url = place
        self.bucket = bucket
        self.ours = presigner(Source(credentials), Clock(NOON), bucket=bucket, region=region, endpoint_url=endpoint_url)
        style: Any = {
            "addressing_style": "path" if endpoint_url else "virtual",
            "us_east_1_regional_endpoint": "regional",
        }
        session = Session()
        session.set_credentials(credentials.access_key or "", credentials.secret_key or "", credentials.token)
        self.client: Any = session.create_client(
            "s3", region_name=region, endpoint_url=endpoint_url, config=Config(signature_version="s3v4", s3=style)
        )

    def botocore_url(self, key: str, *, disposition: str | None, content_type: str | None) -> str:
        overrides = {"ResponseContentDisposition": disposition, "ResponseContentType": content_type}
        params = {"Bucket": self.bucket, "Key": key} | {k: v for k, v in overrides.items() if v is not None}
        with patch("botocore.auth.get_current_datetime", return_value=NOON.replace(tzinfo=None)):
            url: str = self.client.generate_presigned_url("get_object", Params=params, ExpiresIn=TTL + WINDOW)
        return url

    def botocore_form(self, key: str, *, content_type: str, size: int, sha256: bytes | None, seconds: int) -> Any:
        fields = {"Content-Type": content_type}
        if sha256 is not None:
            fields["x-amz-checksum-sha256"] = base64.b64encode(sha256).decode()
        conditions = [["content-length-range", size, size], *({name: value} for name, value in fields.items())]
        now = NOON.replace(tzinfo=None)
        with (
            patch("botocore.auth.get_current_datetime", return_value=now),
            patch("botocore.signers.get_current_datetime", return_value=now),
        ):
            return self.client.generate_presigned_post(
                self.bucket, key, Fields=fields, Conditions=conditions, ExpiresIn=seconds
            )


@pytest.fixture(scope="module", params=[(p, c) for p in PLACES for c in CREDENTIALS], ids=str)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(*request.param)
    yield made
    made.client.close()


NASTY = st.text(min_size=1) | st.text("aZ09 +%/?#&=\"'~!*()._-üé写\U0001f600", min_size=1)


@given(key=NASTY, disposition=st.none() | NASTY, content_type=st.none() | st.just("image/jpeg"))
def test_urls_equal_botocores_to_the_letter(
    pair: Pair, key: str, disposition: str | None, content_type: str | None
) -> None:
    expected = pair.botocore_url(key, disposition=disposition, content_type=content_type)
    assert sign(pair.ours, key, disposition=disposition, content_type=content_type).url == expected


@given(
    key=NASTY.filter(lambda key: not key.endswith("${filename}")),
    content_type=NASTY | st.just("image/jpeg"),
    size=st.integers(0, 1 << 40),
    sha256=st.none() | st.binary(min_size=32, max_size=32),
    seconds=st.integers(0, 7 * 24 * 3600),
)
def test_forms_equal_botocores_to_the_letter(
    pair: Pair, key: str, content_type: str, size: int, sha256: bytes | None, seconds: int
) -> None:
    expected = pair.botocore_form(key, content_type=content_type, size=size, sha256=sha256, seconds=seconds)
    expires_at = NOON + timedelta(seconds=seconds)
    form = sign_form(
        pair.ours,
        key,
        content_type=content_type,
        size=size,
        sha256=None if sha256 is None else sha256.hex(),
        expires_at=expires_at,
    )
    assert {"url": form.url, "fields": form.fields} == expected
    assert form.expires_at == expires_at


def test_a_form_says_exactly_what_may_be_stored() -> None:
    sha256 = "00" * 32
    signer = presigner(Source(CREDENTIALS[1]), Clock(NOON + timedelta(seconds=0.5)))
    expires_at = datetime(2026, 11, 30, 22, 0, 0, 7, tzinfo=timezone(timedelta(hours=9)))
    form = sign_form(signer, "a", content_type="image/png", size=5, sha256=sha256, expires_at=expires_at)
    assert json.loads(base64.b64decode(form.fields["policy"])) == {
        "expiration": "2026-11-30T13:00:00Z",
        "conditions": [
            ["content-length-range", 5, 5],
            {"Content-Type": "image/png"},
            {"x-amz-checksum-sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
            {"bucket": "images"},
            {"key": "a"},
            {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
            {"x-amz-credential": "ASIAEXAMPLE/20261130/eu-west-1/s3/aws4_request"},
            {"x-amz-date": "20261130T120000Z"},
            {"x-amz-security-token": "to/ken+=="},
        ],
    }
    assert form.expires_at == NOON + timedelta(hours=1)


def test_the_signing_key_is_that_of_the_example_in_the_aws_documentation() -> None:
    key = derive_signing_key(
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", date="20120215", region="us-east-1", service="iam"
    )
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


def test_an_address_of_aws_itself_is_that_of_the_region() -> None:
    host = "images.s3.eu-west-1.amazonaws.com"
    assert locate_bucket("images", region="eu-west-1", endpoint_url=None) == BucketAddress(f"https://{host}", host, "/")
    assert locate_bucket("images", region="eu-west-1", endpoint_url="").host == host


def test_a_url_repeats_to_the_letter_within_its_window_and_changes_after_it() -> None:
    clock = Clock(NOON)
    signer = presigner(Source(CREDENTIALS[0]), clock)
    first = sign(signer)
    clock.now = NOON + timedelta(seconds=WINDOW - 1)
    assert sign(signer) == first
    clock.now = NOON + timedelta(seconds=WINDOW)
    assert sign(signer).url != first.url


@pytest.mark.parametrize("seconds", [0, 1, WINDOW - 1])
def test_a_url_is_good_for_its_lifetime_from_any_moment_of_the_window(seconds: int) -> None:
    now = NOON + timedelta(seconds=seconds)
    signed = sign(presigner(Source(CREDENTIALS[0]), Clock(now)))
    assert signed.expires_at == NOON + timedelta(seconds=WINDOW + TTL)
    assert signed.expires_at >= now + timedelta(seconds=TTL)
    assert f"X-Amz-Date=20261130T120000Z&X-Amz-Expires={WINDOW + TTL}" in signed.url


def test_refreshed_credentials_are_used_at_once() -> None:
    source = Source(CREDENTIALS[0])
    signer = presigner(source, Clock(NOON))
    sign(signer)
    source.credentials = CREDENTIALS[1]
    assert "ASIAEXAMPLE" in sign(signer).url
    assert sign(signer) == sign(presigner(source, Clock(NOON)))


@pytest.mark.parametrize("ttl, window", [(0, 900), (3600, 0), (7 * 24 * 3600, 1)])
def test_a_lifetime_that_s3_would_refuse_is_refused_at_once(ttl: int, window: int) -> None:
    with pytest.raises(ValueError, match="seven days"):
        Presigner(
            Source(CREDENTIALS[0]),
            bucket="images",
            region="eu-west-1",
            endpoint_url=None,
            ttl_seconds=ttl,
            window_seconds=window,
        )
