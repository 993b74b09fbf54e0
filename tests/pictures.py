"""Generates pictures that are similar enough to photos for codecs."""

from __future__ import annotations

import functools
import io
import random
from typing import Any

from PIL import Image, ImageDraw


def picture(width: int, height: int, *, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Return a gradient with shapes. The same arguments return the same picture."""
    return _picture(width, height, mode, seed).copy()


@functools.lru_cache(maxsize=32)
def _picture(width: int, height: int, mode: str, seed: int) -> Image.Image:
    gradient = Image.merge(
        "RGB",
        (
            Image.linear_gradient("L").resize((width, height)),
            Image.linear_gradient("L").rotate(90).resize((width, height)),
            Image.radial_gradient("L").resize((width, height)),
        ),
    )
    draw, chance = ImageDraw.Draw(gradient), random.Random(seed)
    for _ in range(12):
        x, y, radius = chance.randrange(width), chance.randrange(height), chance.randrange(2, max(3, width // 6))
        color = (chance.randrange(256), chance.randrange(256), chance.randrange(256))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
    return gradient.convert(mode)


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


@functools.lru_cache(maxsize=64)
def jpeg(width: int = 640, height: int = 480, *, seed: int = 0, **options: Any) -> bytes:
    return encoded(picture(width, height, seed=seed), "JPEG", **options)


def transparent_png(width: int = 300, height: int = 200) -> bytes:
    image = picture(width, height, mode="RGBA")
    image.putalpha(Image.radial_gradient("L").resize((width, height)))
    return encoded(image, "PNG")
