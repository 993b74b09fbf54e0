"""Builds an ICC profile from each description of color other than ICC: code points, PNG chunks and EXIF tags."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import exp

from PIL import ExifTags, Image

from app.imaging.icc import (
    D65,
    SRGB_PRIMARIES,
    Chromaticities,
    ToneMap,
    Transfer,
    Vector,
    matrix_profile,
    table_profile,
)
from app.imaging.png import read_icc_profile

_SDR_WHITE_NITS = 203
"""The luminance of HDR reference white, which becomes white in sRGB (ITU-R BT.2408)."""
_PEAK = 1000 / _SDR_WHITE_NITS
"""The linear value, relative to white, above which HDR images are clipped."""
_KNEE = 0.8
"""The linear value, relative to white, above which highlights are compressed."""

_CHROMATICITIES: dict[int, Chromaticities] = {
    4: Chromaticities((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: Chromaticities((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: Chromaticities((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), D65),
    7: Chromaticities((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), D65),
    8: Chromaticities((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), (0.310, 0.316)),
    9: Chromaticities((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), D65),
    10: Chromaticities((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1 / 3, 1 / 3)),
    11: Chromaticities((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),
    12: Chromaticities((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), D65),
    22: Chromaticities((0.63, 0.34), (0.295, 0.605), (0.155, 0.077), D65),
}
"""By color primaries (ITU-T H.273 table 2). The values that are absent mean sRGB or are reserved."""
_FULL_RANGE_RGB = [0, 1]
"""The last two bytes of a cICP chunk. No other values are valid in a PNG file."""
_ADOBE_RGB = Chromaticities((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
_ADOBE_RGB_GAMMA = 563 / 256
_SRGB_COLOR_SPACE, _ADOBE_RGB_COLOR_SPACE, _UNCALIBRATED = 1, 2, 0xFFFF
_DCF_ADOBE_RGB = "R03"


def profile_from_code_points(primaries: int, transfer: int) -> bytes | None:
    """Return a profile for the code points of ITU-T H.273, or None if they mean sRGB, which needs no conversion.

    The transfer functions of SDR video count as sRGB, as in browsers: displays do not distinguish them.
    """
    chromaticities = _CHROMATICITIES.get(primaries, SRGB_PRIMARIES)
    if transfer in _HDR_TRANSFERS:
        return table_profile(chromaticities, *_HDR_TRANSFERS[transfer])
    if transfer not in _TRANSFERS and primaries not in _CHROMATICITIES:
        return None
    return matrix_profile(chromaticities, _TRANSFERS.get(transfer, _srgb))


def profile_from_png(chunks: Mapping[bytes, bytes]) -> bytes | None:
    """Return the profile that the color chunks of a PNG file describe, or None if they mean sRGB.

    The chunks take precedence in the order cICP, iCCP, sRGB, gAMA and cHRM (PNG third edition, section 4.3).
    """
    primaries, transfer, *encoding = chunks.get(b"cICP", bytes(4))
    if encoding == _FULL_RANGE_RGB:
        return profile_from_code_points(primaries, transfer)
    icc_profile = read_icc_profile(chunks[b"iCCP"]) if b"iCCP" in chunks else None
    if icc_profile or b"sRGB" in chunks:
        return icc_profile
    gamma = _read_gamma(chunks.get(b"gAMA", b""))
    chromaticities = _read_chromaticities(chunks.get(b"cHRM", b""))
    if gamma is None and chromaticities is None:
        return None
    return matrix_profile(chromaticities or SRGB_PRIMARIES, _power(gamma) if gamma else _srgb)


def profile_from_exif(exif: Image.Exif) -> bytes | None:
    """Return a profile for Adobe RGB if the EXIF data declares it, otherwise None.

    The DCF standard lets cameras record sRGB or Adobe RGB only. It marks the latter as "uncalibrated" with the
    interoperability index R03, which some cameras omit. Other software writes the color space 2.
    """
    color_space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
    index = str(exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex, "")).strip("\0 ")
    is_from_camera = bool(exif.get(ExifTags.Base.Make))
    is_adobe_rgb = index == _DCF_ADOBE_RGB or (not index and is_from_camera and color_space == _UNCALIBRATED)
    if color_space == _ADOBE_RGB_COLOR_SPACE or (is_adobe_rgb and color_space != _SRGB_COLOR_SPACE):
        return matrix_profile(_ADOBE_RGB, _power(_ADOBE_RGB_GAMMA))
    return None


def _read_gamma(chunk: bytes) -> float | None:
    """Return the exponent that turns a sample into linear light, or None if the chunk is malformed."""
    value = int.from_bytes(chunk, "big") if len(chunk) == 4 else 0
    gamma = 100_000 / value if value else 0.0
    return gamma if 0.1 <= gamma <= 10 else None


def _read_chromaticities(chunk: bytes) -> Chromaticities | None:
    if len(chunk) != 32:
        return None
    white_x, white_y, *primaries = (value / 100_000 for value in struct.unpack(">8I", chunk))
    red, green, blue = zip(primaries[::2], primaries[1::2], strict=True)
    return Chromaticities(red, green, blue, (white_x, white_y))


# Transfer functions: from a sample in 0..1 to linear light, in which 1 is white.


def _srgb(sample: float) -> float:
    return sample / 12.92 if sample <= 0.04045 else ((sample + 0.055) / 1.055) ** 2.4


def _power(gamma: float) -> Transfer:
    return lambda sample: sample**gamma


def _perceptual_quantizer(sample: float) -> float:
    power = sample ** (32 / 2523)
    nits: float = 10_000 * (max(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)) ** (8192 / 1305)
    return nits / _SDR_WHITE_NITS


def _hybrid_log_gamma(sample: float) -> float:
    return sample**2 / 3 if sample <= 0.5 else (exp((sample - 0.55991073) / 0.17883277) + 0.28466892) / 12


def _display_scene(color: Vector) -> Vector:
    """Convert linear light at the camera to that of a display with a peak of 1000 nits (ITU-R BT.2100)."""
    luminance = 0.2627 * color[0] + 0.6780 * color[1] + 0.0593 * color[2]
    return _compress_highlights(_scaled(color, _PEAK * luminance**0.2))


def _compress_highlights(color: Vector) -> Vector:
    """Compress linear light in 0.._PEAK to 0..1. Colors whose channels are below the knee do not change.

    All channels are scaled by the factor of the largest, which preserves the hue (extended Reinhard).
    """
    largest = max(color)
    if largest <= _KNEE:
        return color
    excess, peak = ((value - _KNEE) / (1 - _KNEE) for value in (largest, _PEAK))
    compressed = min(1.0, _KNEE + (1 - _KNEE) * excess * (1 + excess / peak**2) / (1 + excess))
    return _scaled(color, compressed / largest)


def _scaled(color: Vector, factor: float) -> Vector:
    red, green, blue = color
    return red * factor, green * factor, blue * factor


_TRANSFERS: dict[int, Transfer] = {
    4: _power(2.2),
    5: _power(2.8),
    7: lambda sample: sample / 4 if sample < 0.0913 else ((sample + 0.1115) / 1.1115) ** (1 / 0.45),
    8: _power(1),
    17: lambda sample: 52.37 / 48 * sample**2.6,
}
"""By transfer characteristics (ITU-T H.273 table 3). Those that are absent here and below count as sRGB."""
_HDR_TRANSFERS: dict[int, tuple[Transfer, ToneMap]] = {
    16: (_perceptual_quantizer, _compress_highlights),
    18: (_hybrid_log_gamma, _display_scene),
}
