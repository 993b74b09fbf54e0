"""Builds ICC profiles of RGB color spaces that are defined by chromaticities and a transfer function."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

Point = tuple[float, float]
"""The CIE 1931 chromaticity coordinates x and y."""
Transfer = Callable[[float], float]
"""Converts a sample to linear light, both in 0..1."""
Vector = tuple[float, float, float]
ToneMap = Callable[[Vector], Vector]
"""Compresses a linear color in 0.. to 0..1."""
_Matrix = tuple[Vector, Vector, Vector]


class Chromaticities(NamedTuple):
    red: Point
    green: Point
    blue: Point
    white: Point


D65: Point = (0.3127, 0.3290)
SRGB_PRIMARIES = Chromaticities((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)

_D50: Vector = (0.9642, 1.0, 0.8249)
_BRADFORD: _Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_CURVE_POINTS = 1024
_GRID_POINTS = 25
_HEADER_BYTES = 128
_TAG_BYTES = 12


def matrix_profile(chromaticities: Chromaticities, transfer: Transfer) -> bytes | None:
    """Return an ICC profile (version 2), or None if the chromaticities do not describe an RGB color space."""
    try:
        columns = _transposed(_rgb_to_d50(chromaticities))
        colorants = [_xyz_tag(column) for column in columns]
    except (ZeroDivisionError, struct.error):
        return None
    curve = _curve_tag(transfer)
    tags = {b"wtpt": _xyz_tag(_D50)}
    for name, colorant in zip((b"r", b"g", b"b"), colorants, strict=True):
        tags |= {name + b"XYZ": colorant, name + b"TRC": curve}
    return _assemble(tags)


def table_profile(chromaticities: Chromaticities, transfer: Transfer, tone_map: ToneMap) -> bytes:
    """Return an ICC profile (version 2) that maps tones, which a matrix cannot express because it mixes channels.

    It is a table of colors, from which a color management system interpolates.
    """
    matrix = _rgb_to_d50(chromaticities)
    linear = [transfer(i / (_GRID_POINTS - 1)) for i in range(_GRID_POINTS)]
    values: list[int] = []
    for red, green, blue in product(linear, repeat=3):
        values += _encode_lab(_apply(matrix, tone_map((red, green, blue))))
    identity = struct.pack(">6H", *[0, 65535] * 3)
    header = struct.pack(">4s4x4B9i2H", b"mft2", 3, 3, _GRID_POINTS, 0, *[65536, 0, 0, 0, 65536, 0, 0, 0, 65536], 2, 2)
    table = struct.pack(f">{len(values)}H", *values)
    return _assemble({b"wtpt": _xyz_tag(_D50), b"A2B0": header + identity + table + identity}, connection_space=b"Lab ")


def _encode_lab(xyz: Vector) -> tuple[int, int, int]:
    """Return the 16-bit encoding of the CIELAB color in ICC profiles of version 2."""
    x, y, z = (_lab_function(value / white) for value, white in zip(xyz, _D50, strict=True))
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    return _clamp(lightness * 652.8), _clamp((a + 128) * 256), _clamp((b + 128) * 256)


def _lab_function(value: float) -> float:
    return value ** (1 / 3) if value > (6 / 29) ** 3 else value * 841 / 108 + 4 / 29


def _clamp(value: float) -> int:
    return min(65535, max(0, round(value)))


def _rgb_to_d50(chromaticities: Chromaticities) -> _Matrix:
    """Return the matrix from linear RGB to XYZ relative to D50, the white of ICC profiles."""
    *primaries, white = (_xyz(point) for point in chromaticities)
    white = _scaled(white, 1 / white[1])
    unscaled = _transposed((primaries[0], primaries[1], primaries[2]))
    scales = _apply(_inverse(unscaled), white)
    rgb_to_xyz = _multiply(unscaled, _diagonal(scales))
    source, target = _apply(_BRADFORD, white), _apply(_BRADFORD, _D50)
    gains = (target[0] / source[0], target[1] / source[1], target[2] / source[2])
    adaptation = _multiply(_inverse(_BRADFORD), _multiply(_diagonal(gains), _BRADFORD))
    return _multiply(adaptation, rgb_to_xyz)


def _xyz(point: Point) -> Vector:
    """Return a color with this chromaticity, in any luminance: the matrix is scaled to the white point afterwards."""
    x, y = point
    return (x, y, 1 - x - y)


def _apply(matrix: _Matrix, vector: Vector) -> Vector:
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


def _multiply(a: _Matrix, b: _Matrix) -> _Matrix:
    x, y, z = (_apply(a, column) for column in _transposed(b))
    return _transposed((x, y, z))


def _transposed(matrix: _Matrix) -> _Matrix:
    x, y, z = zip(*matrix, strict=True)
    return x, y, z


def _diagonal(values: Vector) -> _Matrix:
    x, y, z = values
    return (x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, z)


def _inverse(matrix: _Matrix) -> _Matrix:
    """Return the inverse by Cramer's rule. Raises ZeroDivisionError if there is none."""
    a, b, c = matrix
    determinant = sum(x * y for x, y in zip(a, _cross(b, c), strict=True))
    columns = tuple(_scaled(_cross(*pair), 1 / determinant) for pair in ((b, c), (c, a), (a, b)))
    return _transposed((columns[0], columns[1], columns[2]))


def _cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _scaled(vector: Vector, factor: float) -> Vector:
    x, y, z = vector
    return x * factor, y * factor, z * factor


def _xyz_tag(vector: Vector) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(value * 65536) for value in vector))


def _curve_tag(transfer: Transfer) -> bytes:
    samples = (i / (_CURVE_POINTS - 1) for i in range(_CURVE_POINTS))
    values = [_clamp(65535 * transfer(sample)) for sample in samples]
    return struct.pack(f">4s4xI{_CURVE_POINTS}H", b"curv", _CURVE_POINTS, *values)


def _assemble(tags: dict[bytes, bytes], connection_space: bytes = b"XYZ ") -> bytes:
    """Return a display profile for RGB with the tags. Tags with equal data share it."""
    table = struct.pack(">I", len(tags))
    start = _HEADER_BYTES + len(table) + _TAG_BYTES * len(tags)
    data, positions = b"", dict[bytes, int]()
    for name, content in tags.items():
        if content not in positions:
            positions[content] = start + len(data)
            data += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, positions[content], len(content))
    white = _xyz_tag(_D50)[8:]
    header = struct.pack(
        ">I4sI4s4s4s12s4s28x12s48x",
        start + len(data),
        b"lcms",
        0x02400000,
        b"mntr",
        b"RGB ",
        connection_space,
        bytes(12),
        b"acsp",
        white,
    )
    return header + table + data
