"""Encodes pictures in every supported format, and changes the bytes of the files."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pillow_heif
from PIL import Image

from tests.corpus.case import Color
from tests.pictures import encoded

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIC")
ORIENTATION = 0x0112
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
UPRIGHT: dict[int, tuple[Color, ...]] = {
    1: (RED, GREEN, BLUE, WHITE),
    2: (GREEN, RED, WHITE, BLUE),
    3: (WHITE, BLUE, GREEN, RED),
    4: (BLUE, WHITE, RED, GREEN),
    5: (RED, BLUE, GREEN, WHITE),
    6: (BLUE, RED, WHITE, GREEN),
    7: (WHITE, GREEN, BLUE, RED),
    8: (GREEN, WHITE, RED, BLUE),
}
"""The colors of `quadrants()` in reading order, after each orientation of the EXIF specification is applied."""


def quadrants() -> Image.Image:
    """Return red and green above blue and white, so that every rotation and reflection is different."""
    image = Image.new("RGB", (96, 64), WHITE)
    for color, corner in ((RED, (0, 0)), (GREEN, (48, 0)), (BLUE, (0, 32))):
        image.paste(color, (*corner, corner[0] + 48, corner[1] + 32))
    return image


def exif(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[ORIENTATION] = orientation
    return data


def heic(image: Image.Image, *, exif: Image.Exif | None = None, **options: Any) -> bytes:
    """Return a HEIC file. An orientation in `exif` is also written into the container, as cameras do."""
    buffer = io.BytesIO()
    file = pillow_heif.from_pillow(image)
    file[0].info["exif"] = exif.tobytes() if exif else None
    file.save(buffer, **options)
    return buffer.getvalue()


def encoded_as(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """Encode `image` in one of `FORMATS`."""
    if image_format == "HEIC":
        return heic(image, **options)
    return encoded(image, image_format, **options, **({"speed": 10} if image_format == "AVIF" else {}))


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, color_type: int = 0, pixels: bytes = b"") -> bytes:
    """Return an 8-bit PNG file whose header has this size, whatever `pixels`, its uncompressed content, is."""
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")
    )


def png_with(chunks: bytes, image: Image.Image) -> bytes:
    """Return a PNG file with `chunks` directly after its header."""
    data = encoded(image, "PNG")
    return data[:33] + chunks + data[33:]


def jpeg_with_size(data: bytes, width: int, height: int) -> bytes:
    """Return a JPEG file whose header has another size than its content."""
    start = data.index(b"\xff\xc0")
    return data[: start + 5] + struct.pack(">HH", height, width) + data[start + 9 :]


def gif_with_screen(data: bytes, width: int, height: int) -> bytes:
    """Return a GIF file with another size of its logical screen."""
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def with_declared_size(data: bytes, width: int, height: int) -> bytes:
    """Return an AVIF or HEIC file that declares another size in each `ispe` property."""
    start = 0
    while (start := data.find(b"ispe", start)) >= 0:
        data = data[: start + 8] + struct.pack(">II", width, height) + data[start + 16 :]
        start += 16
    return data


def animation(image_format: str, frames: int, *, size: tuple[int, int] = (60, 40)) -> bytes:
    """Return an animation whose first frame is red."""
    colors = [RED, GREEN, BLUE, (255, 255, 0), (0, 255, 255)]
    images = [Image.new("RGB", size, colors[i % len(colors)]) for i in range(frames)]
    return encoded(images[0], image_format, save_all=True, append_images=images[1:], duration=100)
