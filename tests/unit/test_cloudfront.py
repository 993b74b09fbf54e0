"""Tests of URLs for CloudFront: its algorithm, verified with the public key, and that URLs repeat within a window."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from botocore.signers import CloudFrontSigner as BotocoreSigner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from app.common.content_disposition import attachment
from app.domain.objects import SignedUrl, SignedUrls
from app.storage.s3.cloudfront import CloudFrontSigner
from tests.fake_cloudfront import verify_signature
from tests.unit.clock import NOON, ManualClock

TTL, WINDOW = 3600, 900
URL, KEY_PAIR_ID = "https://d111111abcdef8.cloudfront.net", "K2JCJMDEHXQW5F"
PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())
PEM = PRIVATE_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
DIFFICULT_NAMES = st.text(min_size=1) | st.text("aZ09 +%/?#&=\"'~!*()._-üé写\U0001f600", min_size=1)


def make_signer(clock: ManualClock) -> CloudFrontSigner:
    def now() -> float:
        return clock().timestamp()

    return CloudFrontSigner(
        url=URL, key_pair_id=KEY_PAIR_ID, private_key=PEM, ttl_seconds=TTL, window_seconds=WINDOW, clock=now
    )


def sign(signer: CloudFrontSigner, key: str = "images/o/i/original.jpg", filename: str | None = None) -> SignedUrl:
    return asyncio.run(signer.sign(key, disposition=None if filename is None else attachment(filename)))


def verify(url: str) -> None:
    verify_signature(url, public_key=PRIVATE_KEY.public_key(), key_pair_id=KEY_PAIR_ID)


@given(filename=st.none() | DIFFICULT_NAMES)
def test_the_signature_is_that_of_the_canned_policy_of_exactly_this_url(filename: str | None) -> None:
    signed = sign(make_signer(ManualClock()), filename=filename)
    verify(signed.url)
    parts = urlsplit(signed.url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{URL}/images/o/i/original.jpg"
    # CloudFront treats both characters as wildcards in a policy.
    assert "*" not in signed.url
    assert signed.url.count("?") == 1
    if filename is not None:
        [disposition] = parse_qs(parts.query)["response-content-disposition"]
        assert disposition == attachment(filename)


@pytest.mark.parametrize(
    "old, new",
    [
        ("original", "500"),
        ("/i/", "/j/"),
        ("Expires=17", "Expires=18"),
        ("a.jpg", "b.html"),
        ("https", "http"),
    ],
)
def test_the_signature_covers_every_part_of_the_url(old: str, new: str) -> None:
    url = sign(make_signer(ManualClock()), filename="a.jpg").url
    assert old in url
    with pytest.raises(InvalidSignature):
        verify(url.replace(old, new, 1))


@pytest.mark.parametrize("filename", [None, "für *?.jpg"])
def test_a_url_equals_that_of_botocore_with_the_name_of_the_hash_algorithm(filename: str | None) -> None:
    def sign_policy(policy: bytes) -> bytes:
        assert json.loads(policy)
        return PRIVATE_KEY.sign(policy, ec.ECDSA(SHA256(), deterministic_signing=True))

    signed = sign(make_signer(ManualClock()), filename=filename)
    resource = signed.url.split("Expires=")[0][:-1]
    botocores = BotocoreSigner(KEY_PAIR_ID, sign_policy).generate_presigned_url(resource, signed.expires_at)
    assert signed.url == f"{botocores}&Hash-Algorithm=SHA256"
    assert (filename is None) == ("response-content-disposition" not in unquote(resource))


@pytest.mark.parametrize("seconds", [0, 1, WINDOW - 1])
def test_a_url_stays_the_same_within_its_window_in_every_process(seconds: int) -> None:
    clock = ManualClock(NOON + timedelta(seconds=seconds))
    signed = sign(make_signer(clock))
    assert signed == sign(make_signer(ManualClock()))
    assert signed.expires_at == NOON + timedelta(seconds=TTL + WINDOW)
    assert signed.expires_at >= clock.now + timedelta(seconds=TTL)


def test_urls_that_are_signed_together_are_those_of_each_key() -> None:
    signer, keys = make_signer(ManualClock()), ["images/o/i/original.jpg", "images/o/i/200.jpg"]
    each = [sign(signer, key) for key in keys]
    assert asyncio.run(signer.sign_all(keys)) == SignedUrls([one.url for one in each], each[0].expires_at)


def test_a_url_changes_with_the_window() -> None:
    clock = ManualClock()
    signer = make_signer(clock)
    first = sign(signer)
    clock.advance(seconds=WINDOW)
    assert sign(signer).url != first.url
    assert datetime.fromtimestamp(int(parse_qs(urlsplit(first.url).query)["Expires"][0]), NOON.tzinfo) == (
        first.expires_at
    )


def test_a_repeated_list_needs_no_new_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    signatures: list[str] = []
    original = CloudFrontSigner._sign

    def count(self: CloudFrontSigner, resource: str, expires: int) -> SignedUrl:
        signatures.append(resource)
        return original(self, resource, expires)

    monkeypatch.setattr(CloudFrontSigner, "_sign", count)
    clock = ManualClock()
    signer = make_signer(clock)
    keys = [f"images/{n}.jpg" for n in range(200)]
    first = [sign(signer, key) for key in keys]
    assert [sign(signer, key) for key in keys] == first
    assert len(signatures) == 200
    clock.advance(seconds=WINDOW)
    assert {sign(signer, key) for key in keys}.isdisjoint(first)
    assert len(signatures) == 400
