"""S3 URLs that need no token: AWS Signature Version 4 in the query string, from a signing key that is kept.

The algorithm: "Authenticating Requests: Using Query Parameters", Amazon S3 API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote, urlsplit

from app.core.models import SignedUrl

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_SECONDS = 7 * 24 * 3600  # S3 refuses a longer X-Amz-Expires
# A bucket name with a dot is more than the one label that the certificate of *.s3.<region>.amazonaws.com covers.
_ONE_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


class Credentials(Protocol):
    """As botocore hands them out; its types allow None for the keys, which found credentials do not have."""

    @property
    def access_key(self) -> str | None: ...
    @property
    def secret_key(self) -> str | None: ...
    @property
    def token(self) -> str | None: ...


class CredentialsSource(Protocol):
    async def get_frozen_credentials(self) -> Credentials:
        """Return what is good now, refreshed if need be; at once if not."""
        ...


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """Where clients reach a bucket."""

    origin: str
    host: str
    """As clients send it in the header Host: that is what is signed."""
    path: str
    """What stands before a key; begins and ends with `/`."""


def locate_bucket(bucket: str, *, region: str, endpoint_url: str | None) -> BucketAddress:
    """Return the address that botocore would use: of AWS itself unless there is an `endpoint_url`."""
    if not endpoint_url:
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        if _ONE_LABEL.fullmatch(bucket):
            host = f"{bucket}.s3.{region}.{suffix}"
            return BucketAddress(f"https://{host}", host, "/")
        endpoint_url = f"https://s3.{region}.{suffix}"
    url = urlsplit(endpoint_url)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    if url.port and url.port != _DEFAULT_PORTS[url.scheme]:
        host = f"{host}:{url.port}"
    return BucketAddress(f"{url.scheme}://{url.netloc}", host, f"{url.path.rstrip('/')}/{bucket}/")


def derive_signing_key(secret_key: str, *, date: str, region: str, service: str) -> bytes:
    """Return the key that signs everything of one day (`date`, as 20261130) in one region."""
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key


@dataclass(frozen=True, slots=True)
class _Window:
    """All that is the same for every URL signed in one window with the same credentials."""

    credentials: Credentials
    instant: int
    expires_at: datetime
    query: str
    signed_query: str
    string_to_sign: str
    key: bytes


class Presigner:
    """Signs GET URLs for the endpoint that clients use; changing the host of one afterwards would break it.

    The instant of signing is rounded down to a window, so that a URL repeats to the letter within it.
    With temporary credentials a URL ends with them, however long it was signed for, and changes when
    they are refreshed.
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
            raise ValueError("S3 URLs live for at least a second and, the signing window included, at most seven days.")
        address = locate_bucket(bucket, region=region, endpoint_url=endpoint_url)
        self._credentials = credentials
        self._region = region
        self._origin = address.origin
        self._path = address.path
        self._canonical_end = f"\nhost:{address.host}\n\nhost\nUNSIGNED-PAYLOAD"
        self._window_seconds = window_seconds
        self._lifetime = ttl_seconds + window_seconds
        self._clock = clock
        self._window: _Window | None = None

    async def sign(self, key: str, *, disposition: str | None = None, content_type: str | None = None) -> SignedUrl:
        """Return the URL that reads `key`, answered with the headers given here in place of the stored ones."""
        window = self._open_window(await self._credentials.get_frozen_credentials())
        path = f"{self._path}{quote(key, safe='/~')}"
        overrides = _encode_overrides(disposition, content_type)
        # Sorted, as the canonical query has to be: X comes before r.
        canonical = f"GET\n{path}\n{window.signed_query}{'&' if overrides else ''}{overrides}{self._canonical_end}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.digest(window.key, f"{window.string_to_sign}{digest}".encode(), hashlib.sha256).hex()
        query = f"{overrides}{'&' if overrides else ''}{window.query}"
        return SignedUrl(f"{self._origin}{path}?{query}&X-Amz-Signature={signature}", window.expires_at)

    def _open_window(self, credentials: Credentials) -> _Window:
        now = int(self._clock())
        instant = now - now % self._window_seconds
        window = self._window
        if window is None or window.instant != instant or window.credentials != credentials:
            window = self._window = self._make_window(credentials, instant)
        return window

    def _make_window(self, credentials: Credentials, instant: int) -> _Window:
        signed_at = datetime.fromtimestamp(instant, UTC)
        timestamp = signed_at.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{timestamp[:8]}/{self._region}/s3/aws4_request"
        begin = (
            f"X-Amz-Algorithm={_ALGORITHM}&X-Amz-Credential={_encode(f'{credentials.access_key}/{scope}')}"
            f"&X-Amz-Date={timestamp}&X-Amz-Expires={self._lifetime}"
        )
        token = f"&X-Amz-Security-Token={_encode(credentials.token)}" if credentials.token else ""
        return _Window(
            credentials=credentials,
            instant=instant,
            expires_at=datetime.fromtimestamp(instant + self._lifetime, UTC),
            query=f"{begin}&X-Amz-SignedHeaders=host{token}",
            signed_query=f"{begin}{token}&X-Amz-SignedHeaders=host",
            string_to_sign=f"{_ALGORITHM}\n{timestamp}\n{scope}\n",
            key=derive_signing_key(credentials.secret_key or "", date=timestamp[:8], region=self._region, service="s3"),
        )


def _encode(text: str) -> str:
    return quote(text, safe="~")


def _encode_overrides(disposition: str | None, content_type: str | None) -> str:
    values = (("response-content-disposition", disposition), ("response-content-type", content_type))
    return "&".join(f"{name}={_encode(value)}" for name, value in values if value is not None)
