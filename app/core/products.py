"""What a product catalogue knows of a product, as far as an image needs it."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.models import Source


@dataclass(frozen=True, slots=True)
class Product:
    """A product that has an image; `image_url` comes from outside and is to be trusted with nothing."""

    source: Source
    image_url: str
