"""Converts decoded pixels to 8-bit sRGB: pixel modes, 16-bit grayscale, CMYK and ICC profiles."""

from __future__ import annotations

import io

from PIL import Image, ImageChops, ImageCms

_PROFILE_MODES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}
_GRAYSCALE_MODES = {"1", "L", "LA", "I;16"}


def is_grayscale(image: Image.Image) -> bool:
    return image.mode in _GRAYSCALE_MODES


def to_resizable_mode(image: Image.Image) -> Image.Image:
    """Return the image as L, RGB or CMYK, or as RGBA if any of its pixels is transparent."""
    if image.mode == "I;16":
        image = _to_8_bit(image)
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        return image.convert("RGB") if image.getchannel("A").getextrema() == (255, 255) else image
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if is_grayscale(image) else "RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Return 16-bit grayscale as L or LA. Pillow's own conversion clips all values above 255 to white."""
    data = image.tobytes()
    low, high = (Image.frombytes("L", image.size, data[i::2]) for i in (0, 1))
    transparent = image.info.get("transparency")
    if transparent is None:
        return high
    differs = (
        plane.point([255 * (value != expected) for value in range(256)])
        for plane, expected in ((low, transparent & 0xFF), (high, transparent >> 8))
    )
    return Image.merge("LA", (high, ImageChops.lighter(*differs)))


def to_srgb(image: Image.Image, icc_profile: bytes | None, *, was_grayscale: bool) -> Image.Image:
    """Return an image in a resizable mode as L, RGB or RGBA in sRGB.

    `was_grayscale` states whether the file itself was grayscale: only then does a grayscale profile apply. A profile
    that is damaged or belongs to another color model is ignored.
    """
    converted = _apply_profile(image, icc_profile, was_grayscale=was_grayscale) if icc_profile else None
    if converted is None:
        return image.convert("RGB") if image.mode == "CMYK" else image
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted


def _apply_profile(image: Image.Image, icc_profile: bytes, *, was_grayscale: bool) -> Image.Image | None:
    """Return the colors converted to sRGB, or None if the profile is damaged or belongs to another color model."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        mode = _PROFILE_MODES.get(profile.profile.xcolor_space)
        if mode is None or (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not was_grayscale):
            return None
        return ImageCms.profileToProfile(
            image if image.mode == mode else image.convert(mode),
            profile,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
