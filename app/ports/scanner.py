"""The scanner that decides whether an uploaded image is accepted."""

from __future__ import annotations

from typing import Protocol

from app.domain.images import Image


class Scanner(Protocol):
    async def scan(self, image: Image, *, url: str) -> str | None:
        """Return None if the image is accepted, or the reason why it is rejected. `url` is signed and absolute.

        Raises DependencyUnavailable if the scanner does not respond within a minute, or not as documented.
        """
        ...
