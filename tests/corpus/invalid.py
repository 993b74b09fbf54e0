"""Files that the service must reject, and files that it may reject but that must not harm it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from PIL import Image

from tests.corpus.case import Case, rejected
from tests.corpus.files import (
    FORMATS,
    animation,
    chunk,
    encoded_as,
    gif_with_screen,
    jpeg_with_size,
    png,
    png_with,
    quadrants,
    with_declared_size,
)
from tests.pictures import encoded, picture

ACCEPTED_OR_REJECTED = frozenset({201, 400, 413, 415, 422})
MEBIBYTE = 1024 * 1024


def invalid_cases() -> Iterator[Case]:
    yield from truncated()
    yield from damaged()
    yield from unsupported()
    yield from bombs()
    yield from ambiguous()


def truncated() -> Iterator[Case]:
    for image_format in FORMATS:
        data = encoded_as(picture(320, 200), image_format)
        for percent in (20, 50, 80):
            name = f"truncated-to-{percent}-percent.{image_format.lower()}"
            yield rejected(name, partial(bytes, data[: len(data) * percent // 100]), 422, "image_corrupt")
    for image_format in ("GIF", "PNG", "WEBP", "AVIF"):
        data = animation(image_format, 5)
        name = f"animation-truncated.{image_format.lower()}"
        yield rejected(name, partial(bytes, data[: len(data) * 3 // 4]), 422, "image_corrupt")


def damaged() -> Iterator[Case]:
    yield rejected("empty.jpg", bytes, 422, "file_empty")
    magic = {
        "jpg": b"\xff\xd8\xff\xe0",
        "png": b"\x89PNG\r\n\x1a\n",
        "gif": b"GIF89a",
        "webp": b"RIFF\4\0\0\0WEBP",
        "heic": b"\0\0\0\x10ftypheic\0\0\0\0",
        "avif": b"\0\0\0\x10ftypavif\0\0\0\0",
    }
    for extension, start in magic.items():
        yield rejected(f"only-the-magic-bytes.{extension}", partial(bytes, start), 422, "image_corrupt")
        yield rejected(
            f"zeros-after-the-magic-bytes.{extension}", partial(bytes, start + bytes(1000)), 422, "image_corrupt"
        )
    yield rejected("without-pixels.png", partial(png, 100, 100), 422, "image_corrupt")
    yield rejected("without-width.png", partial(png, 0, 100), 422, "image_corrupt")


def unsupported() -> Iterator[Case]:
    image = picture(32, 32)
    files = {
        "bitmap.bmp": encoded(image, "BMP"),
        "bitmap-named.jpg": encoded(image, "BMP"),
        "scan.tiff": encoded(image, "TIFF"),
        "icon.ico": encoded(image, "ICO"),
        "picture.jp2": encoded(image, "JPEG2000"),
        "netpbm.ppm": encoded(image, "PPM"),
        "document.pdf": encoded(image, "PDF"),
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "page-named.png": b"<!doctype html><script>alert(1)</script>",
        "archive.zip": b"PK\x05\x06" + bytes(18),
        "video.mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(100),
        "text-named.jpg": b"This is not an image.",
        "one-byte.png": b"\x89",
        "zeros.gif": bytes(4096),
        "space-before-the-image.png": b" " + encoded(image, "PNG"),
    }
    for name, data in files.items():
        yield rejected(name, partial(bytes, data), 415, "format_unsupported")


def bombs() -> Iterator[Case]:
    """Yield small files that declare or contain more pixels or frames than the limits allow."""
    image = encoded(quadrants(), "JPEG")
    files: dict[str, Callable[[], bytes]] = {
        "header-only.png": partial(png, 200_000, 200_000),
        "gray.png": lambda: png(8000, 8000, pixels=bytes(8001 * 8000)),
        "one-pixel-too-wide.png": partial(png, 16_385, 1, pixels=bytes(16_386)),
        "one-row-too-many.png": partial(png, 10_000, 5_001, pixels=bytes(10_001)),
        "declared.jpg": partial(jpeg_with_size, image, 65_500, 65_500),
        "declared.gif": partial(gif_with_screen, encoded(quadrants(), "GIF"), 65_535, 65_535),
        "declared.heic": lambda: with_declared_size(encoded_as(quadrants(), "HEIC"), 30_000, 30_000),
        "canvas.webp": partial(webp_canvas, 16_384, 16_384),
        "frames.gif": partial(animation, "GIF", 501, size=(8, 8)),
        "frames.png": partial(animation, "PNG", 501, size=(8, 8)),
        "pixels-in-all-frames.gif": partial(large_animation, 60),
    }
    for name, make in files.items():
        yield rejected(f"bomb-{name}", make, 422, "image_too_large")
    # The decoder itself rejects this file, before its size is checked.
    declared = with_declared_size(encoded_as(quadrants(), "AVIF"), 30_000, 30_000)
    yield Case("bomb-declared.avif", partial(bytes, declared), frozenset({422}))


def webp_canvas(width: int, height: int) -> bytes:
    """Return a WebP file with a canvas of this size around a small frame."""
    frame = encoded(quadrants(), "WEBP")[12:]
    header = (
        struct.pack("<4sII", b"VP8X", 10, 0) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    content = b"WEBP" + header + frame
    return b"RIFF" + struct.pack("<I", len(content)) + content


def large_animation(frames: int) -> bytes:
    """Return an animation of small frames on a logical screen of four megapixels."""
    return gif_with_screen(animation("GIF", frames, size=(8, 8)), 2000, 2000)


def ambiguous() -> Iterator[Case]:
    """Yield files that may be accepted or rejected, depending on the decoder, but not cause an error of the service."""
    zeros = zlib.compress(bytes(80 * MEBIBYTE), 9)
    files: dict[str, Callable[[], bytes]] = {
        "compressed-text.png": lambda: png_with(chunk(b"zTXt", b"Key\0\0" + zeros), quadrants()),
        "compressed-profile.png": lambda: png_with(chunk(b"iCCP", b"Key\0\0" + zeros), quadrants()),
        "larger-than-declared.heic": lambda: with_declared_size(encoded_as(picture(320, 200), "HEIC"), 32, 20),
        "declared-49-megapixels.jpg": partial(jpeg_with_size, encoded(Image.new("L", (64, 64)), "JPEG"), 7000, 7000),
        "script-in-the-header.gif": partial(bytes, b"GIF89a/*" + encoded(quadrants(), "GIF")[8:] + b"*/=1;alert(1)"),
    }
    for name, make in files.items():
        yield Case(f"ambiguous-{name}", make, ACCEPTED_OR_REJECTED)
