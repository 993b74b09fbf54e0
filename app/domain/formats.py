"""The supported image formats, detected by the first bytes of a file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from app.domain.errors import FormatUnsupported

SNIFF_BYTES = 4096
"""How many bytes `sniff` and `describe` need."""


@dataclass(frozen=True, slots=True)
class ImageFormat:
    name: str
    content_type: str
    extensions: tuple[str, ...]


JPEG = ImageFormat("JPEG", "image/jpeg", ("jpg", "jpeg", "jpe", "jfif", "mpo"))
PNG = ImageFormat("PNG", "image/png", ("png", "apng"))
GIF = ImageFormat("GIF", "image/gif", ("gif",))
WEBP = ImageFormat("WebP", "image/webp", ("webp",))
HEIC = ImageFormat("HEIC", "image/heic", ("heic", "heics"))
HEIF = ImageFormat("HEIF", "image/heif", ("heif", "heifs", "hif"))
AVIF = ImageFormat("AVIF", "image/avif", ("avif", "avifs"))

FORMATS = (JPEG, PNG, GIF, WEBP, HEIC, HEIF, AVIF)
FORMATS_BY_CONTENT_TYPE = {f.content_type: f for f in FORMATS}
FORMATS_BY_EXTENSION = {extension: f for f in FORMATS for extension in f.extensions}

UNKNOWN_TYPE = "application/octet-stream"
"""Declared by clients that do not know the type, as browsers do for HEIC on Windows."""
_TYPE_ALIASES = {
    "": UNKNOWN_TYPE,
    "binary/octet-stream": UNKNOWN_TYPE,
    "image/jpg": JPEG.content_type,
    "image/jpe": JPEG.content_type,
    "image/pjpeg": JPEG.content_type,
    "image/x-jpeg": JPEG.content_type,
    "image/x-jpg": JPEG.content_type,
    "image/x-citrix-jpeg": JPEG.content_type,
    "image/mpo": JPEG.content_type,
    "image/apng": PNG.content_type,
    "image/vnd.mozilla.apng": PNG.content_type,
    "image/x-png": PNG.content_type,
    "image/x-citrix-png": PNG.content_type,
    "image/x-gif": GIF.content_type,
    "image/x-webp": WEBP.content_type,
    "image/heic-sequence": HEIC.content_type,
    "image/heif-sequence": HEIF.content_type,
    "image/avif-sequence": AVIF.content_type,
}
"""Names that clients use besides the registered ones."""


def canonical_content_type(declared: str) -> str:
    """Return the declared type in lower case, without parameters, and by its registered name."""
    media_type = declared.partition(";")[0].strip().lower()
    return _TYPE_ALIASES.get(media_type, media_type)


# ISO/IEC 14496-12 file type box; brands from ISO/IEC 23008-12 annex B (HEIF) and the AVIF specification.
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_BRANDS = {b"mif1", b"msf1", b"mif2", b"mif3"}


def sniff(head: bytes) -> ImageFormat | None:
    """Return the format that `head`, the first `SNIFF_BYTES` of a file, begins with."""
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    return None


def _sniff_brands(head: bytes) -> ImageFormat | None:
    length = min(int.from_bytes(head[:4], "big"), len(head))
    major, compatible = head[8:12], {head[i : i + 4] for i in range(16, length - 3, 4)}
    # The major brand decides. mif1 and msf1 identify only the container; then the compatible brands identify the codec.
    for brands in ({major}, compatible) if major in _HEIF_BRANDS or major in _AVIF_BRANDS | _HEIC_BRANDS else ():
        if brands & _AVIF_BRANDS:
            return AVIF
        if brands & _HEIC_BRANDS:
            return HEIC
    return HEIF if major in _HEIF_BRANDS else None


def require_format(head: bytes, allowed: Collection[str]) -> ImageFormat:
    """Return the format that `head` begins with. Raises FormatUnsupported unless its content type is `allowed`."""
    detected = sniff(head)
    if detected is not None and detected.content_type in allowed:
        return detected
    description = f"a {detected.name} image" if detected else describe(head)
    names = ", ".join(f.name for f in FORMATS if f.content_type in allowed)
    raise FormatUnsupported(f"The file is {description}. Supported formats: {names}.")


_KNOWN = (
    (b"%PDF", "a PDF document"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"II+\x00", "a TIFF image"),
    (b"MM\x00+", "a TIFF image"),
    (b"8BPS", "a Photoshop document"),
    (b"BM", "a BMP image"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
)


def describe(head: bytes) -> str:
    """Return a description, for the user, of a file that begins with `head`."""
    known = next((name for magic, name in _KNOWN if head.startswith(magic)), None)
    if known:
        return known
    if head[4:8] == b"ftyp":
        return "a video or another file of the MP4 family"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing"
    if text.startswith((b"<!doctype html", b"<html", b"<script", b"<body", b"<head")):
        return "an HTML page"
    if text.startswith(b"<?xml"):
        return "an XML document"
    return "not a known image format"
