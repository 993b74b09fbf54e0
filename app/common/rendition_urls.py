"""Signs and verifies the URLs of renditions: one token for all sizes and formats of an image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from app.common.signing import sign, verify
from app.domain.errors import UrlExpired, UrlInvalid
from app.domain.images import FocalPoint, Image
from app.domain.objects import SignedUrl
from app.domain.renditions import CENTER
from app.ports.clock import Clock

URL_PATH = "api/v1/renditions/"
PARAMETERS = "{?w,h,fit,format}"
"""An RFC 6570 expression of the parameters, which the token does not cover."""
_TOKEN = re.compile(r"([0-9]{1,12})\.([0-9]{1,3})\.([0-9]{1,3})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_.-]{1,255})")


@dataclass(frozen=True, slots=True)
class RenditionClaims:
    """What a token proves."""

    owner_id: str
    image_id: str
    focal_point: FocalPoint
    expires_at: datetime


class RenditionUrls:
    def __init__(self, key: bytes, *, ttl_seconds: int, window_seconds: int, clock: Clock) -> None:
        self._key = key
        self._ttl_seconds = ttl_seconds
        self._window_seconds = window_seconds
        self._clock = clock

    def sign(self, image: Image) -> SignedUrl:
        """Return a URI template. It is the same within a window, unless the focal point changes.

        The token contains the focal point, so that a URL always has the same content.
        """
        now = int(self._clock().timestamp())
        expires = now - now % self._window_seconds + self._window_seconds + self._ttl_seconds
        point = image.focal_point or CENTER
        signature = sign(self._key, _message(image.owner_id, image.id, expires, point))
        token = f"{expires}.{point.x}.{point.y}.{signature}.{image.owner_id}"
        url = f"{URL_PATH}{image.id}/{token}{PARAMETERS}"
        return SignedUrl(url, datetime.fromtimestamp(expires, UTC))

    def verify(self, image_id: str, token: str) -> RenditionClaims:
        """Raises UrlInvalid unless the token was signed for this image, then UrlExpired."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise UrlInvalid
        *numbers, signature, owner_id = match.groups()
        expires, x, y = map(int, numbers)
        if not verify(self._key, _message(owner_id, image_id, expires, FocalPoint(x, y)), signature):
            raise UrlInvalid
        expires_at = datetime.fromtimestamp(expires, UTC)
        if self._clock() >= expires_at:
            raise UrlExpired
        return RenditionClaims(owner_id, image_id, FocalPoint(x, y), expires_at)


def _message(owner_id: str, image_id: str, expires: int, point: FocalPoint) -> bytes:
    # Unambiguous, because neither ids nor numbers contain a line break.
    return f"{owner_id}\n{image_id}\n{expires}\n{point.x}\n{point.y}".encode("utf-8", "surrogatepass")
