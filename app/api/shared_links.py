"""The URLs of a share's images, as the receivers of its link use them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode, urljoin

from fastapi import Request

from app.api.router import API_PREFIX
from app.domain.images import Image


@dataclass(frozen=True, slots=True)
class SharedLinks:
    """`access` is what opened a share with a password, or None."""

    base_url: str
    token: str
    access: str | None

    @classmethod
    def of(cls, request: Request, token: str, access: str | None) -> SharedLinks:
        return cls(str(request.base_url), token, access)

    def template(self, image: Image) -> str:
        """Return a URI template (RFC 6570)."""
        query = f"?access={quote(self.access)}{{&w,h,fit,format}}" if self.access else "{?w,h,fit,format}"
        return self._image_url(image) + query

    def rendition(self, image: Image, *, width: int, format_: str = "auto") -> str:
        return self._with_query(self._image_url(image), w=str(width), format=format_)

    def download(self, image: Image) -> str:
        return self._with_query(f"{self._image_url(image)}/download")

    def page(self, number: int) -> str:
        return self._with_query(urljoin(self.base_url, f"s/{self.token}"), page=str(number))

    def _image_url(self, image: Image) -> str:
        return urljoin(self.base_url, f"{API_PREFIX.lstrip('/')}/shared/{self.token}/images/{image.id}")

    def _with_query(self, url: str, **parameters: str) -> str:
        query = urlencode(parameters | ({"access": self.access} if self.access else {}))
        return f"{url}?{query}" if query else url
