"""Tests that ThumbHash encoding produces the same bytes as the reference implementation."""

from __future__ import annotations

from base64 import b64decode

import pytest

from app.imaging.thumbhash import thumbhash


def pixels(width: int, height: int, *, transparent: bool) -> bytes:
    def pixel(x: int, y: int) -> tuple[int, int, int, int]:
        alpha = 255 - (x + y) * 255 // (width + height) if transparent else 255
        return x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), (x * 7 + y * 13) % 256, alpha

    return bytes(value for y in range(height) for x in range(width) for value in pixel(x, y))


# The expected values were produced by the reference implementation (the `thumbhash` crate, 0.1.0) from these pixels.
@pytest.mark.parametrize(
    "width, height, transparent, expected",
    [
        (32, 24, False, "3/cJPZpwh3eBdndYh2eXiINwB/h4"),
        (24, 32, True, "XAeGHA4oUBd0V3ZUJgdmYH/Zh/d3d3d4Bw=="),
        (7, 30, False, "XggOOh5wcUeHhIp2gIEP6Hc="),
        (1, 1, False, "AAgCBwAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ],
)
def test_hash_equals_that_of_the_reference_implementation(width: int, height: int, transparent: bool, expected: str):  # noqa: FBT001
    assert thumbhash(width, height, pixels(width, height, transparent=transparent)) == b64decode(expected)


def test_fully_transparent_image_is_encoded():
    assert len(thumbhash(4, 3, bytes(4 * 4 * 3))) > 5
