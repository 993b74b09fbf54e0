"""Signs S3 URLs and forms with AWS Signature Version 4, so that they need no token.

The algorithms are those of "Authenticating Requests: Using Query Parameters" and "Authenticating Requests in
Browser-Based Uploads Using POST" in the Amazon S3 API Reference. botocore can sign too, but a list of images contains
hundreds of URLs, and signing them takes much longer with botocore (bench/presigning.py).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote

from app.domain.objects import PresignedPost, SignedUrl, SignedUrls
from app.storage.s3.credentials import SigningCredentials
from app.storage.s3.endpoints import locate_bucket

_ALGORITHM = "AWS4-HMAC-SHA256"
_MAX_SECONDS = 7 * 24 * 3600  # S3 refuses a longer X-Amz-Expires.


class CredentialsSource(Protocol):
    async def get(self, now: float) -> SigningCredentials:
        """Return credentials that are valid at `now` (Unix time). It is the same object until they are refreshed."""
        ...


def derive_signing_key(secret_key: str, *, date: str, region: str, service: str) -> bytes:
    """Return the signing key of one day (`date`, for example 20261130) and one region."""
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key


@dataclass(frozen=True, slots=True)
class _Scope:
    """The time and the credential scope for which a signing key is valid."""

    timestamp: str
    name: str
    key: bytes


def _open_scope(credentials: SigningCredentials, *, instant: int, region: str) -> _Scope:
    timestamp = datetime.fromtimestamp(instant, UTC).strftime("%Y%m%dT%H%M%SZ")
    date = timestamp[:8]
    key = derive_signing_key(credentials.secret_key, date=date, region=region, service="s3")
    return _Scope(timestamp, f"{date}/{region}/s3/aws4_request", key)


@dataclass(frozen=True, slots=True)
class _Window:
    """The parts that are identical for all URLs that are signed in one window with the same credentials."""

    credentials: SigningCredentials
    instant: int
    expires_at: datetime
    query: str
    signed_query: str
    string_to_sign: str
    signature: hmac.HMAC
    """With the signing key. Each URL continues a copy, because OpenSSL takes long to start one."""


class Presigner:
    """Signs URLs and POST forms for the endpoint that clients use. A URL is not valid with another host.

    The time of signing a GET URL is rounded down to the start of a window, so that the URL of a key is identical within
    the window. URLs and forms expire no later than the credentials, and a URL changes when these are refreshed. Each
    method raises DependencyUnavailable if a refresh that is due fails.
    """

    def __init__(
        self,
        credentials: CredentialsSource,
        *,
        bucket: str,
        region: str,
        endpoint_url: str | None,
        ttl_seconds: int,
        window_seconds: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if window_seconds < 1 or not 1 <= ttl_seconds <= _MAX_SECONDS - window_seconds:
            raise ValueError(
                "The lifetime of an S3 URL must be at least a second and, with the signing window, at most seven days."
            )
        address = locate_bucket(bucket, region=region, endpoint_url=endpoint_url)
        self._credentials = credentials
        self._bucket = bucket
        self._region = region
        self._origin = address.origin
        self._path = address.path
        self._canonical_host = f"\nhost:{address.host}\n"
        self._canonical_end = f"{self._canonical_host}\nhost\nUNSIGNED-PAYLOAD"
        self._window_seconds = window_seconds
        self._lifetime = ttl_seconds + window_seconds
        self._clock = clock
        self._window: _Window | None = None

    async def sign(self, key: str, *, disposition: str | None = None, content_type: str | None = None) -> SignedUrl:
        """Return a URL that reads `key`. The headers given here replace the stored ones in the response."""
        now = self._clock()
        window = self._open_window(await self._credentials.get(now), int(now))
        return SignedUrl(self._sign(window, key, _encode_overrides(disposition, content_type)), window.expires_at)

    async def sign_all(self, keys: Sequence[str]) -> SignedUrls:
        """Return the URLs that read `keys`."""
        now = self._clock()
        window = self._open_window(await self._credentials.get(now), int(now))
        return SignedUrls([self._sign(window, key) for key in keys], window.expires_at)

    async def sign_briefly(self, key: str, *, seconds: int, disposition: str | None = None) -> SignedUrl:
        """Return a URL that reads `key` for so many seconds."""
        now = self._clock()
        window = self._make_window(await self._credentials.get(now), int(now), lifetime=seconds)
        return SignedUrl(self._sign(window, key, _encode_overrides(disposition, None)), window.expires_at)

    def _sign(self, window: _Window, key: str, overrides: str = "") -> str:
        path = f"{self._path}{quote(key, safe='/~')}"
        # The parameters of the canonical query are sorted: X precedes r.
        canonical = f"GET\n{path}\n{window.signed_query}{'&' if overrides else ''}{overrides}{self._canonical_end}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = window.signature.copy()
        signature.update(f"{window.string_to_sign}{digest}".encode())
        query = f"{overrides}{'&' if overrides else ''}{window.query}"
        return f"{self._origin}{path}?{query}&X-Amz-Signature={signature.hexdigest()}"

    async def presign_post(
        self, key: str, *, content_type: str, size: int, sha256: str | None, expires_at: datetime
    ) -> PresignedPost:
        """Return a form that stores exactly `size` bytes under `key`, until `expires_at`."""
        now = int(self._clock())
        credentials = await self._credentials.get(now)
        scope = _open_scope(credentials, instant=now, region=self._region)
        expires_at = datetime.fromtimestamp(_limit(int(expires_at.timestamp()), credentials), UTC)
        exact = {"Content-Type": content_type}
        if sha256 is not None:
            # Form fields correspond to headers of PutObject, which derives the algorithm from the checksum's name.
            exact["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        exact |= {"bucket": self._bucket, "key": key, "x-amz-algorithm": _ALGORITHM}
        exact |= {"x-amz-credential": f"{credentials.access_key}/{scope.name}", "x-amz-date": scope.timestamp}
        if credentials.token:
            exact["x-amz-security-token"] = credentials.token
        policy = _encode_policy(exact, size=size, expires_at=expires_at)
        signature = hmac.digest(scope.key, policy.encode(), hashlib.sha256).hex()
        fields = {name: value for name, value in exact.items() if name != "bucket"}
        url = f"{self._origin}{self._path.removesuffix('/') or '/'}"
        return PresignedPost(url, fields | {"policy": policy, "x-amz-signature": signature}, expires_at)

    async def presign_put(self, key: str, *, size: int, expires_at: datetime) -> SignedUrl:
        """Return a URL that stores exactly `size` bytes, the body of a PUT, under `key`, until `expires_at`."""
        now = int(self._clock())
        credentials = await self._credentials.get(now)
        scope = _open_scope(credentials, instant=now, region=self._region)
        seconds = max(1, _limit(int(expires_at.timestamp()), credentials) - now)
        path = f"{self._path}{quote(key, safe='/~')}"
        query = (
            f"{''.join(_query_parts(credentials, scope, seconds=seconds))}&X-Amz-SignedHeaders=content-length%3Bhost"
        )
        canonical = (
            f"PUT\n{path}\n{query}\ncontent-length:{size}{self._canonical_host}\ncontent-length;host\nUNSIGNED-PAYLOAD"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        string_to_sign = f"{_ALGORITHM}\n{scope.timestamp}\n{scope.name}\n{digest}"
        signature = hmac.digest(scope.key, string_to_sign.encode(), hashlib.sha256).hex()
        url = f"{self._origin}{path}?{query}&X-Amz-Signature={signature}"
        return SignedUrl(url, datetime.fromtimestamp(now + seconds, UTC))

    def _open_window(self, credentials: SigningCredentials, now: int) -> _Window:
        instant = now - now % self._window_seconds
        window = self._window
        if window is None or window.instant != instant or window.credentials is not credentials:
            window = self._window = self._make_window(credentials, instant, lifetime=self._lifetime)
        return window

    def _make_window(self, credentials: SigningCredentials, instant: int, *, lifetime: int) -> _Window:
        scope = _open_scope(credentials, instant=instant, region=self._region)
        expires_at = _limit(instant + lifetime, credentials)
        prefix, token = _query_parts(credentials, scope, seconds=expires_at - instant)
        return _Window(
            credentials=credentials,
            instant=instant,
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            query=f"{prefix}&X-Amz-SignedHeaders=host{token}",
            signed_query=f"{prefix}{token}&X-Amz-SignedHeaders=host",
            string_to_sign=f"{_ALGORITHM}\n{scope.timestamp}\n{scope.name}\n",
            signature=hmac.new(scope.key, digestmod=hashlib.sha256),
        )


def _limit(expires_at: int, credentials: SigningCredentials) -> int:
    """Return `expires_at` (Unix time), or the end of the credentials if that is earlier."""
    return expires_at if credentials.expires_at is None else min(expires_at, credentials.expires_at)


def _query_parts(credentials: SigningCredentials, scope: _Scope, *, seconds: int) -> tuple[str, str]:
    """Return the query parameters that precede X-Amz-SignedHeaders, and separately the parameter of a session token."""
    credential = _encode(f"{credentials.access_key}/{scope.name}")
    prefix = (
        f"X-Amz-Algorithm={_ALGORITHM}&X-Amz-Credential={credential}"
        f"&X-Amz-Date={scope.timestamp}&X-Amz-Expires={seconds}"
    )
    return prefix, f"&X-Amz-Security-Token={_encode(credentials.token)}" if credentials.token else ""


def _encode_policy(exact: Mapping[str, str], *, size: int, expires_at: datetime) -> str:
    length: list[str | int] = ["content-length-range", size, size]
    policy = {
        "expiration": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conditions": [length, *({name: value} for name, value in exact.items())],
    }
    return base64.b64encode(json.dumps(policy).encode()).decode()


def _encode(text: str) -> str:
    return quote(text, safe="~")


def _encode_overrides(disposition: str | None, content_type: str | None) -> str:
    values = (("response-content-disposition", disposition), ("response-content-type", content_type))
    return "&".join(f"{name}={_encode(value)}" for name, value in values if value is not None)
