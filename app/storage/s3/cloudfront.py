"""Signs URLs of a CloudFront distribution, so that they need no token.

The algorithm is that of "Create a signed URL using a canned policy" in the Amazon CloudFront Developer Guide, with an
ECDSA key on the curve P-256 and SHA-256.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import cast
from urllib.parse import quote

from cachetools import LRUCache
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.domain.objects import SignedUrl, SignedUrls

_CACHED_URLS = 10_000
"""With their keys, less than 20 MB."""
# Without random numbers (RFC 6979), every process makes the same URL.
_ALGORITHM = ec.ECDSA(SHA256(), deterministic_signing=True)
_URL_SAFE = bytes.maketrans(b"+=/", b"-_~")


class CloudFrontSigner:
    """Signs the URL of one object at a time, never one with a wildcard.

    The expiry is rounded to windows, so that the URL of a key is identical within a window, in every process. It does
    not depend on AWS credentials. URLs are kept, because making one takes about as long as making seven of S3.
    """

    def __init__(
        self,
        *,
        url: str,
        key_pair_id: str,
        private_key: str,
        ttl_seconds: int,
        window_seconds: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`url` is the address of the distribution, without a path. `private_key` is in PEM, on the curve P-256."""
        self._url = url.rstrip("/")
        self._key_pair_id = key_pair_id
        self._private_key = cast(
            "ec.EllipticCurvePrivateKey", load_pem_private_key(private_key.encode(), password=None)
        )
        self._lifetime = ttl_seconds + window_seconds
        self._window_seconds = window_seconds
        self._clock = clock
        self._signed: LRUCache[tuple[str, int], SignedUrl] = LRUCache(_CACHED_URLS)

    async def sign(self, key: str, *, disposition: str | None = None) -> SignedUrl:
        """Return a URL that reads `key`. `disposition` replaces the stored Content-Disposition in the response."""
        now = int(self._clock())
        expires = now - now % self._window_seconds + self._lifetime
        resource = f"{self._url}/{_encode(key, safe='/~')}"
        if disposition is not None:
            resource += f"?response-content-disposition={_encode(disposition)}"
        signed = self._signed.get((resource, expires))
        if signed is None:
            # Other requests are not delayed by the signatures of a whole list.
            await asyncio.sleep(0)
            signed = self._signed[resource, expires] = self._sign(resource, expires)
        return signed

    async def sign_all(self, keys: Sequence[str]) -> SignedUrls:
        """Return the URLs that read `keys`, of which there is at least one."""
        signed = [await self.sign(key) for key in keys]
        return SignedUrls([each.url for each in signed], min(each.expires_at for each in signed))

    def _sign(self, resource: str, expires: int) -> SignedUrl:
        statement = {"Resource": resource, "Condition": {"DateLessThan": {"AWS:EpochTime": expires}}}
        policy = json.dumps({"Statement": [statement]}, separators=(",", ":"))
        signature = base64.b64encode(self._private_key.sign(policy.encode(), _ALGORITHM)).translate(_URL_SAFE)
        url = (
            f"{resource}{'&' if '?' in resource else '?'}Expires={expires}&Signature={signature.decode()}"
            f"&Key-Pair-Id={self._key_pair_id}&Hash-Algorithm=SHA256"
        )
        return SignedUrl(url, datetime.fromtimestamp(expires, UTC))


def _encode(text: str, *, safe: str = "~") -> str:
    return quote(text, safe=safe)
