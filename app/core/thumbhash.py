"""ThumbHash: some 25 bytes that a client can blow up to a blurred image while the real one loads.

The format is described at https://evanw.github.io/thumbhash/; this only writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi
from operator import mul

LONGEST_SIDE = 32
"""Pixels; a hash keeps 7 waves across at most, so that more of them make it slower and no better."""


@dataclass(frozen=True, slots=True)
class _Channel:
    dc: float
    ac: tuple[float, ...]
    """From 0 to 1, where 0.5 is none."""
    scale: float


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """Hash an image of straight (not premultiplied) RGBA pixels, best not larger than `LONGEST_SIDE`."""
    lightness, yellow_blue, red_green, alpha = _channels(rgba)
    has_alpha = min(alpha) < 1
    waves = 5 if has_alpha else 7
    longest = max(width, height)
    waves_x, waves_y = (max(1, _round(waves * side / longest)) for side in (width, height))
    size = width, height
    light = _encode(lightness, size, max(3, waves_x), max(3, waves_y))
    colours = _encode(yellow_blue, size, 3, 3), _encode(red_green, size, 3, 3)
    opacity = (_encode(alpha, size, 5, 5),) if has_alpha else ()
    head = _head(light, *colours, has_alpha=has_alpha)
    shape = _shape(*colours, waves=waves_y if width > height else waves_x, landscape=width > height)
    extra = b"".join(bytes([_round(15 * a.dc) | _round(15 * a.scale) << 4]) for a in opacity)
    return head + shape + extra + _pack([f for channel in (light, *colours, *opacity) for f in channel.ac])


def _head(light: _Channel, yellow_blue: _Channel, red_green: _Channel, *, has_alpha: bool) -> bytes:
    bits = _round(63 * light.dc) | _round(31.5 + 31.5 * yellow_blue.dc) << 6 | _round(31.5 + 31.5 * red_green.dc) << 12
    return (bits | _round(31 * light.scale) << 18 | has_alpha << 23).to_bytes(3, "little")


def _shape(yellow_blue: _Channel, red_green: _Channel, *, waves: int, landscape: bool) -> bytes:
    bits = waves | _round(63 * yellow_blue.scale) << 3 | _round(63 * red_green.scale) << 9 | landscape << 15
    return bits.to_bytes(2, "little")


def _pack(factors: Sequence[float]) -> bytes:
    """Two factors a byte, the first in the low half."""
    nibbles = [_round(15 * factor) for factor in factors] + [0] * (len(factors) % 2)
    return bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _channels(rgba: bytes) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return lightness, yellow against blue, red against green, and alpha, over the image's own average colour."""
    alpha = [a / 255 for a in rgba[3::4]]
    total = sum(alpha)
    red, green, blue = (_over_average(rgba[i::4], alpha, total) for i in range(3))
    lightness = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow_blue = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    red_green = [r - g for r, g in zip(red, green, strict=True)]
    return lightness, yellow_blue, red_green, alpha


def _over_average(values: bytes, alpha: Sequence[float], total: float) -> list[float]:
    premultiplied = [v * a / 255 for v, a in zip(values, alpha, strict=True)]
    average = sum(premultiplied) / total if total else 0.0
    return [average * (1 - a) + v for v, a in zip(premultiplied, alpha, strict=True)]


def _encode(values: Sequence[float], size: tuple[int, int], waves_x: int, waves_y: int) -> _Channel:
    """Discrete cosine transform, rows then columns, of the corner of the waves that the format keeps."""
    width, height = size
    across = [_wave(width, i) for i in range(waves_x)]
    down = [_wave(height, i) for i in range(waves_y)]
    rows = [values[start : start + width] for start in range(0, width * height, width)]
    columns = [[sum(map(mul, row, wave)) for row in rows] for wave in across]
    dc, *ac = (
        sum(map(mul, columns[x], down[y])) / (width * height)
        for y in range(waves_y)
        for x in range(waves_x)
        if x * waves_y < waves_x * (waves_y - y)
    )
    scale = max(map(abs, ac))
    return _Channel(dc, tuple(0.5 + 0.5 * f / scale for f in ac) if scale else tuple(ac), scale)


def _wave(length: int, index: int) -> list[float]:
    return [cos(pi / length * index * (i + 0.5)) for i in range(length)]


def _round(number: float) -> int:
    return int(number + 0.5)
