"""Products as a product catalog describes them."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.images import Source


@dataclass(frozen=True, slots=True)
class Product:
    """A product that has an image. `image_url` is untrusted."""

    source: Source
    image_url: str
