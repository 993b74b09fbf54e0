"""Removes the position or all metadata from PNG files.

PNG (third edition) sections 5 and 11 describe the chunks. "Raw profile type" is the keyword of text chunks in which
ImageMagick and others store EXIF, IPTC and XMP data in hexadecimal digits.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

from app.imaging.png import read_chunks
from app.imaging.stripping.exif import EXIF_PREFIX, exif_for_display, exif_without_location
from app.imaging.stripping.photoshop import PHOTOSHOP_PREFIX, iptc_without_location, resources_without_location
from app.imaging.stripping.xmp import is_location_name, xmp_without_location

_SIGNATURE_BYTES = 8
_MAX_TEXT_BYTES = 64 << 20
_DISPLAYED = {
    *(b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"mDCv", b"cLLI", b"cLLi", b"sBIT", b"bKGD"),
    *(b"hIST", b"sPLT", b"pHYs", b"acTL", b"fcTL", b"fdAT"),
}
_WITHOUT_LOCATION = _DISPLAYED | {b"tIME", b"oFFs", b"pCAL", b"sCAL", b"sTER", b"gIFg", b"gIFx", b"vpAg", b"orNT"}
_TEXT = {b"tEXt", b"zTXt", b"iTXt"}
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
_RAW_PROFILE = re.compile(rb"Raw profile type (\w+)$")
_PROFILE = re.compile(rb"\s*(\w+)(?: profile)?\s+(\d+)\s")
_HEX = re.compile(rb"[0-9A-Fa-f]")
_IPTC_START = b"\x1c"


def png_without_location(data: bytes) -> bytes:
    """Return the file without positions. Chunks that are not known, and bytes after the last one, are left out.

    Raises IndexError or ValueError if the chunks cannot be read.
    """
    parts = [data[:_SIGNATURE_BYTES]]
    for kind, start, end in read_chunks(data):
        content = data[start + 8 : end - 4]
        edited: bytes | None = content
        if kind == b"eXIf":
            edited = exif_without_location(content)
        elif kind in _TEXT:
            edited = _text_without_location(kind, content)
        elif _is_ancillary(kind) and kind not in _WITHOUT_LOCATION:
            edited = None
        if edited is not None:
            parts.append(data[start:end] if edited == content else _chunk(kind, edited))
    return b"".join(parts)


def png_for_display(data: bytes) -> bytes:
    """Return the file with the orientation, the description of its colors, and no other metadata.

    Raises IndexError or ValueError if the chunks cannot be read.
    """
    parts = [data[:_SIGNATURE_BYTES]]
    for kind, start, end in read_chunks(data):
        if kind == b"eXIf":
            exif = exif_for_display(data[start + 8 : end - 4])
            parts.append(_chunk(kind, exif) if exif else b"")
        elif not _is_ancillary(kind) or kind in _DISPLAYED:
            parts.append(data[start:end])
    return b"".join(parts)


def _is_ancillary(kind: bytes) -> bool:
    return bool(kind[0] & 0x20)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def _text_without_location(kind: bytes, content: bytes) -> bytes | None:
    """Return the content of a text chunk, or None if it is left out: if it is a position, or cannot be read."""
    keyword = content.partition(b"\0")[0]
    edit = _editor(keyword)
    if is_location_name(keyword.decode("latin-1").replace(" ", "")):
        return None
    if edit is None:
        return content
    try:
        header, text, is_compressed = _read_text(kind, content, keyword)
        edited = edit(text)
    except (IndexError, ValueError, zlib.error):
        return None
    if edited == text:
        return content
    return header + (zlib.compress(edited) if is_compressed else edited)


def _editor(keyword: bytes) -> Callable[[bytes], bytes] | None:
    if keyword == _XMP_KEYWORD:
        return xmp_without_location
    return _raw_profile_without_location if _RAW_PROFILE.match(keyword) else None


def _read_text(kind: bytes, content: bytes, keyword: bytes) -> tuple[bytes, bytes, bool]:
    """Return what precedes the text, the uncompressed text, and whether it is compressed. Raises ValueError."""
    start = len(keyword) + 1
    is_compressed = kind == b"zTXt"
    if kind == b"zTXt":
        start += 1
    elif kind == b"iTXt":
        is_compressed = content[start] == 1
        # The language and the translated keyword follow the compression flag and method.
        start = content.index(b"\0", content.index(b"\0", start + 2) + 1) + 1
    text = content[start:]
    if is_compressed:
        decompressor = zlib.decompressobj()
        text = decompressor.decompress(text, _MAX_TEXT_BYTES)
        if not decompressor.eof:
            raise ValueError("the text is too long, or cut off")
    return content[:start], text, is_compressed


def _raw_profile_without_location(text: bytes) -> bytes:
    """Return the text with its digits replaced. Its line breaks remain. Raises ValueError if it is malformed."""
    header = _PROFILE.match(text)
    if not header:
        raise ValueError("a raw profile lacks its length")
    profile = bytes.fromhex("".join(text[header.end() :].decode("ascii").split()))
    if len(profile) != int(header[2]):
        raise ValueError("a raw profile has another length")
    digits = iter(_profile_without_location(header[1].lower(), profile).hex())
    return text[: header.end()] + _HEX.sub(lambda _: next(digits).encode(), text[header.end() :])


def _profile_without_location(kind: bytes, profile: bytes) -> bytes:
    if profile.startswith((EXIF_PREFIX, b"II*\0", b"MM\0*")):
        return exif_without_location(profile)
    if kind in (b"icc", b"icm"):
        return profile
    if kind in (b"iptc", b"8bim"):
        if profile.startswith(_IPTC_START):
            return iptc_without_location(profile)
        prefix = PHOTOSHOP_PREFIX if profile.startswith(PHOTOSHOP_PREFIX) else b""
        return prefix + resources_without_location(profile.removeprefix(prefix))
    # ImageMagick stores an XMP packet from a JPEG file as APP1, with the namespace in front.
    namespace = _XMP_NAMESPACE if profile.startswith(_XMP_NAMESPACE) else b""
    return namespace + xmp_without_location(profile.removeprefix(namespace))
