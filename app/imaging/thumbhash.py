"""Encodes an image as a ThumbHash: about 25 bytes from which a client draws a blurred placeholder.

The format is described at https://evanw.github.io/thumbhash/. This is our own code because the Python packages
`thumbhash` 0.1.2 and `thumbhash-python` 1.0.1 round halves to even, which changes bytes compared to the reference
implementation, and take almost three times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi
from operator import mul

LONGEST_SIDE = 32
"""In pixels. A hash stores at most 7 frequencies per axis, so a larger image is slower to encode and looks the same."""


@dataclass(frozen=True, slots=True)
class _Channel:
    dc: float
    ac: tuple[float, ...]
    """The AC coefficients divided by `scale` and mapped to 0..1, so that 0.5 is zero."""
    scale: float


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """Encode an image of straight (not premultiplied) RGBA pixels that should be no larger than `LONGEST_SIDE`."""
    lightness, yellow_blue, red_green, alpha = _channels(rgba)
    has_alpha = min(alpha) < 1
    frequencies = 5 if has_alpha else 7
    longest = max(width, height)
    frequencies_x, frequencies_y = (max(1, _round(frequencies * side / longest)) for side in (width, height))
    size = width, height
    light = _encode(lightness, size, max(3, frequencies_x), max(3, frequencies_y))
    colors = _encode(yellow_blue, size, 3, 3), _encode(red_green, size, 3, 3)
    opacity = (_encode(alpha, size, 5, 5),) if has_alpha else ()
    averages = _pack_averages(light, *colors, has_alpha=has_alpha)
    is_landscape = width > height
    shape = _pack_shape(
        *colors, frequencies=frequencies_y if is_landscape else frequencies_x, is_landscape=is_landscape
    )
    alpha_byte = b"".join(bytes([_round(15 * a.dc) | _round(15 * a.scale) << 4]) for a in opacity)
    return averages + shape + alpha_byte + _pack([f for channel in (light, *colors, *opacity) for f in channel.ac])


def _pack_averages(light: _Channel, yellow_blue: _Channel, red_green: _Channel, *, has_alpha: bool) -> bytes:
    bits = _round(63 * light.dc) | _round(31.5 + 31.5 * yellow_blue.dc) << 6 | _round(31.5 + 31.5 * red_green.dc) << 12
    return (bits | _round(31 * light.scale) << 18 | has_alpha << 23).to_bytes(3, "little")


def _pack_shape(yellow_blue: _Channel, red_green: _Channel, *, frequencies: int, is_landscape: bool) -> bytes:
    bits = frequencies | _round(63 * yellow_blue.scale) << 3 | _round(63 * red_green.scale) << 9 | is_landscape << 15
    return bits.to_bytes(2, "little")


def _pack(coefficients: Sequence[float]) -> bytes:
    """Return two coefficients per byte, the first in the low half."""
    nibbles = [_round(15 * coefficient) for coefficient in coefficients] + [0] * (len(coefficients) % 2)
    return bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _channels(rgba: bytes) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return lightness, yellow-blue, red-green and alpha; transparent pixels are blended with the average color."""
    alpha = [a / 255 for a in rgba[3::4]]
    total = sum(alpha)
    red, green, blue = (_blend_with_average(rgba[i::4], alpha, total) for i in range(3))
    lightness = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow_blue = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    red_green = [r - g for r, g in zip(red, green, strict=True)]
    return lightness, yellow_blue, red_green, alpha


def _blend_with_average(values: bytes, alpha: Sequence[float], total: float) -> list[float]:
    premultiplied = [v * a / 255 for v, a in zip(values, alpha, strict=True)]
    average = sum(premultiplied) / total if total else 0.0
    return [average * (1 - a) + v for v, a in zip(premultiplied, alpha, strict=True)]


def _encode(values: Sequence[float], size: tuple[int, int], frequencies_x: int, frequencies_y: int) -> _Channel:
    """Compute the discrete cosine transform, rows first, for the triangle of low frequencies that the format stores."""
    width, height = size
    horizontal = [_cosines(width, i) for i in range(frequencies_x)]
    vertical = [_cosines(height, i) for i in range(frequencies_y)]
    rows = [values[start : start + width] for start in range(0, width * height, width)]
    columns = [[sum(map(mul, row, cosines)) for row in rows] for cosines in horizontal]
    dc, *ac = (
        sum(map(mul, columns[x], vertical[y])) / (width * height)
        for y in range(frequencies_y)
        for x in range(frequencies_x)
        if x * frequencies_y < frequencies_x * (frequencies_y - y)
    )
    scale = max(map(abs, ac))
    return _Channel(dc, tuple(0.5 + 0.5 * f / scale for f in ac) if scale else tuple(ac), scale)


def _cosines(length: int, index: int) -> list[float]:
    return [cos(pi / length * index * (i + 0.5)) for i in range(length)]


def _round(number: float) -> int:
    return int(number + 0.5)
