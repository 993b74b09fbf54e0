"""Tests that presigned URLs and forms equal those of botocore, and that URLs stay the same within a window."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from botocore.config import Config
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from app.domain.objects import PresignedPost, SignedUrl
from app.storage.s3.credentials import SigningCredentials
from app.storage.s3.presigner import Presigner, derive_signing_key
from tests.unit.clock import NOON

TTL, WINDOW = 3600, 900

BUCKETS = [
    ("images", "eu-west-1", None),
    ("images", "us-east-1", None),
    ("images", "cn-north-1", None),
    ("my.images", "eu-west-1", None),
    ("images", "eu-west-1", "http://127.0.0.1:4566"),
    ("images", "eu-west-1", "http://[::1]:9000"),
    ("images", "eu-west-1", "https://Files.example.com:443/base/"),
]
"""Name, region and endpoint."""
CREDENTIALS = [
    SigningCredentials("AKIDEXAMPLE", "secret/+x"),
    SigningCredentials("ASIAEXAMPLE", "other", "to/ken+=="),
]


class CredentialsSource:
    def __init__(self, credentials: SigningCredentials) -> None:
        self.credentials = credentials

    async def get(self, now: float) -> SigningCredentials:
        return self.credentials


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now.timestamp()


def make_presigner(
    source: CredentialsSource,
    clock: Clock,
    *,
    bucket: str = "images",
    region: str = "eu-west-1",
    endpoint_url: str | None = None,
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


def sign(presigner: Presigner, key: str = "a.jpg", **overrides: str | None) -> SignedUrl:
    return asyncio.run(presigner.sign(key, **overrides))


def presign_post(presigner: Presigner, key: str, **options: Any) -> PresignedPost:
    return asyncio.run(presigner.presign_post(key, **options))


class Pair:
    """Our presigner and botocore's client, for the same bucket and credentials."""

    def __init__(self, location: tuple[str, str, str | None], credentials: SigningCredentials) -> None:
        bucket, region, endpoint_url = location
        self.bucket = bucket
        self.ours = make_presigner(
            CredentialsSource(credentials), Clock(NOON), bucket=bucket, region=region, endpoint_url=endpoint_url
        )
        style: Any = {
            "addressing_style": "path" if endpoint_url else "virtual",
            "us_east_1_regional_endpoint": "regional",
        }
        session = Session()
        session.set_credentials(credentials.access_key, credentials.secret_key, credentials.token)
        self.client: Any = session.create_client(
            "s3", region_name=region, endpoint_url=endpoint_url, config=Config(signature_version="s3v4", s3=style)
        )

    def botocore_url(self, key: str, *, disposition: str | None, content_type: str | None) -> str:
        overrides = {"ResponseContentDisposition": disposition, "ResponseContentType": content_type}
        params = {"Bucket": self.bucket, "Key": key} | {k: v for k, v in overrides.items() if v is not None}
        with time_machine.travel(NOON, tick=False):
            url: str = self.client.generate_presigned_url("get_object", Params=params, ExpiresIn=TTL + WINDOW)
        return url

    def botocore_form(self, key: str, *, content_type: str, size: int, sha256: bytes | None, seconds: int) -> Any:
        fields = {"Content-Type": content_type}
        if sha256 is not None:
            fields["x-amz-checksum-sha256"] = base64.b64encode(sha256).decode()
        conditions = [["content-length-range", size, size], *({name: value} for name, value in fields.items())]
        with time_machine.travel(NOON, tick=False):
            return self.client.generate_presigned_post(
                self.bucket, key, Fields=fields, Conditions=conditions, ExpiresIn=seconds
            )


@pytest.fixture(scope="module", params=[(b, c) for b in BUCKETS for c in CREDENTIALS], ids=str)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(*request.param)
    yield pair
    pair.client.close()


DIFFICULT_TEXTS = st.text(min_size=1) | st.text("aZ09 +%/?#&=\"'~!*()._-üé写\U0001f600", min_size=1)


@given(key=DIFFICULT_TEXTS, disposition=st.none() | DIFFICULT_TEXTS, content_type=st.none() | st.just("image/jpeg"))
def test_urls_equal_those_of_botocore(pair: Pair, key: str, disposition: str | None, content_type: str | None) -> None:
    expected = pair.botocore_url(key, disposition=disposition, content_type=content_type)
    assert sign(pair.ours, key, disposition=disposition, content_type=content_type).url == expected


@given(
    key=DIFFICULT_TEXTS.filter(lambda key: not key.endswith("${filename}")),
    content_type=DIFFICULT_TEXTS | st.just("image/jpeg"),
    size=st.integers(0, 1 << 40),
    sha256=st.none() | st.binary(min_size=32, max_size=32),
    seconds=st.integers(0, 7 * 24 * 3600),
)
def test_forms_equal_those_of_botocore(
    pair: Pair, key: str, content_type: str, size: int, sha256: bytes | None, seconds: int
) -> None:
    expected = pair.botocore_form(key, content_type=content_type, size=size, sha256=sha256, seconds=seconds)
    expires_at = NOON + timedelta(seconds=seconds)
    form = presign_post(
        pair.ours,
        key,
        content_type=content_type,
        size=size,
        sha256=None if sha256 is None else sha256.hex(),
        expires_at=expires_at,
    )
    assert {"url": form.url, "fields": form.fields} == expected
    assert form.expires_at == expires_at


@given(key=DIFFICULT_TEXTS, size=st.integers(0, 1 << 40), seconds=st.integers(1, 7 * 24 * 3600))
def test_put_urls_equal_those_of_botocore(pair: Pair, key: str, size: int, seconds: int) -> None:
    params = {"Bucket": pair.bucket, "Key": key, "ContentLength": size}
    with time_machine.travel(NOON, tick=False):
        expected = pair.client.generate_presigned_url("put_object", Params=params, ExpiresIn=seconds)
    expires_at = NOON + timedelta(seconds=seconds)
    signed = asyncio.run(pair.ours.presign_put(key, size=size, expires_at=expires_at))
    assert signed.expires_at == expires_at
    ours, theirs = urlsplit(signed.url), urlsplit(expected)
    assert (ours.netloc, ours.path, parse_qs(ours.query)) == (theirs.netloc, theirs.path, parse_qs(theirs.query))


@pytest.mark.parametrize(
    "region",
    [
        "us-gov-west-1",
        "cn-northwest-1",
        "eusc-de-east-1",
        "us-iso-east-1",
        "us-isob-east-1",
        "eu-isoe-west-1",
        "us-isof-south-1",
    ],
)
def test_urls_and_forms_equal_those_of_botocore_in_every_partition(region: str) -> None:
    pair = Pair(("images", region, None), CREDENTIALS[1])
    url = sign(pair.ours, "a b.jpg", disposition="inline").url
    form = presign_post(
        pair.ours, "a", content_type="image/png", size=1, sha256=None, expires_at=NOON + timedelta(hours=1)
    )
    assert url == pair.botocore_url("a b.jpg", disposition="inline", content_type=None)
    assert {"url": form.url, "fields": form.fields} == pair.botocore_form(
        "a", content_type="image/png", size=1, sha256=None, seconds=3600
    )
    pair.client.close()


def test_the_policy_of_a_form_allows_exactly_one_object() -> None:
    sha256 = "00" * 32
    presigner = make_presigner(CredentialsSource(CREDENTIALS[1]), Clock(NOON + timedelta(seconds=0.5)))
    expires_at = datetime(2026, 11, 30, 22, 0, 0, 7, tzinfo=timezone(timedelta(hours=9)))
    form = presign_post(presigner, "a", content_type="image/png", size=5, sha256=sha256, expires_at=expires_at)
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


def test_the_signing_key_equals_that_of_the_example_in_the_aws_documentation() -> None:
    key = derive_signing_key(
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", date="20120215", region="us-east-1", service="iam"
    )
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


def test_a_url_stays_the_same_within_its_window() -> None:
    clock = Clock(NOON)
    presigner = make_presigner(CredentialsSource(CREDENTIALS[0]), clock)
    first = sign(presigner)
    clock.now = NOON + timedelta(seconds=WINDOW - 1)
    assert sign(presigner) == first
    clock.now = NOON + timedelta(seconds=WINDOW)
    assert sign(presigner).url != first.url


@pytest.mark.parametrize("seconds", [0, 1, WINDOW - 1])
def test_a_url_is_valid_for_its_whole_lifetime_from_any_time_in_the_window(seconds: int) -> None:
    now = NOON + timedelta(seconds=seconds)
    signed = sign(make_presigner(CredentialsSource(CREDENTIALS[0]), Clock(now)))
    assert signed.expires_at == NOON + timedelta(seconds=WINDOW + TTL)
    assert signed.expires_at >= now + timedelta(seconds=TTL)
    assert f"X-Amz-Date=20261130T120000Z&X-Amz-Expires={WINDOW + TTL}" in signed.url


def test_refreshed_credentials_are_used_immediately() -> None:
    source = CredentialsSource(CREDENTIALS[0])
    presigner = make_presigner(source, Clock(NOON))
    sign(presigner)
    source.credentials = CREDENTIALS[1]
    assert "ASIAEXAMPLE" in sign(presigner).url
    assert sign(presigner) == sign(make_presigner(source, Clock(NOON)))


@pytest.mark.parametrize("seconds", [1, WINDOW // 2, WINDOW - 1])
def test_nothing_is_promised_beyond_the_end_of_the_credentials(seconds: int) -> None:
    end = NOON + timedelta(minutes=20)
    clock = Clock(NOON)
    credentials = replace(CREDENTIALS[1], expires_at=int(end.timestamp()))
    presigner = make_presigner(CredentialsSource(credentials), clock)
    first = sign(presigner)
    clock.now += timedelta(seconds=seconds)
    hour = clock.now + timedelta(hours=1)
    form = presign_post(presigner, "a", content_type="image/png", size=5, sha256=None, expires_at=hour)
    put = asyncio.run(presigner.presign_put("a", size=5, expires_at=hour))

    assert sign(presigner) == first
    assert [first.expires_at, form.expires_at, put.expires_at] == [end, end, end]
    assert "X-Amz-Date=20261130T120000Z&X-Amz-Expires=1200&" in first.url
    assert f"X-Amz-Expires={1200 - seconds}&" in put.url
    assert json.loads(base64.b64decode(form.fields["policy"]))["expiration"] == "2026-11-30T12:20:00Z"


def test_a_url_expires_before_credentials_that_last_longer() -> None:
    credentials = replace(CREDENTIALS[1], expires_at=int(NOON.timestamp()) + 6 * 3600)
    signed = sign(make_presigner(CredentialsSource(credentials), Clock(NOON)))
    assert signed.expires_at == NOON + timedelta(seconds=WINDOW + TTL)


@pytest.mark.parametrize("ttl, window", [(0, 900), (3600, 0), (7 * 24 * 3600, 1)])
def test_a_lifetime_that_s3_does_not_support_is_refused(ttl: int, window: int) -> None:
    with pytest.raises(ValueError, match="seven days"):
        Presigner(
            CredentialsSource(CREDENTIALS[0]),
            bucket="images",
            region="eu-west-1",
            endpoint_url=None,
            ttl_seconds=ttl,
            window_seconds=window,
        )
