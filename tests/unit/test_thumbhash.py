"""ThumbHash: the same bytes as the reference implementation writes."""

from __future__ import annotations

from base64 import b64decode

import pytest

from app.core.thumbhash import thumbhash


def pixels(width: int, height: int, *, see_through: bool) -> bytes:
    def pixel(x: int, y: int) -> tuple[int, int, int, int]:
        alpha = 255 - (x + y) * 255 // (width + height) if see_through else 255
        return x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), (x * 7 + y * 13) % 256, alpha

    return bytes(value for y in range(height) for x in range(width) for value in pixel(x, y))


