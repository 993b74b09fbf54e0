"""Removes the position or all metadata from WebP files. RFC 9649 section 2 describes the chunks."""

from __future__ import annotations

from collections.abc import Iterator

from app.imaging.stripping.exif import EXIF_PREFIX, exif_for_display, exif_without_location
from app.imaging.stripping.xmp import xmp_without_location

_HEADER_BYTES, _CHUNK_HEADER_BYTES = 12, 8
_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
_EXIF_FLAG, _XMP_FLAG = 0x08, 0x04


def webp_without_location(data: bytes) -> bytes:
    """Return the file without positions. Chunks that are not known, and bytes after the last one, are left out.

    Raises ValueError if the chunks cannot be read.
    """
    parts = []
    for kind, start, end in _chunks(data):
        content = data[start:end]
        if kind == b"EXIF":
            content = exif_without_location(content)
        elif kind == b"XMP ":
            content = xmp_without_location(content)
        elif kind not in _KEPT:
            continue
        parts.append((kind, content))
    return _file(parts)


def webp_for_display(data: bytes) -> bytes:
    """Return the file with its orientation, its color profile and no other metadata.

    Raises ValueError if the chunks cannot be read.
    """
    parts = []
    for kind, start, end in _chunks(data):
        content = data[start:end]
        if kind == b"EXIF":
            content = exif_for_display(content.removeprefix(EXIF_PREFIX))
        if kind in _KEPT or (kind == b"EXIF" and content):
            parts.append((kind, content))
    flags = _EXIF_FLAG if any(kind == b"EXIF" for kind, _ in parts) else 0
    return _file(
        [
            (
                kind,
                bytes([content[0] & ~(_EXIF_FLAG | _XMP_FLAG) | flags]) + content[1:] if kind == b"VP8X" else content,
            )
            for kind, content in parts
        ]
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each chunk, and the start and end of its content. Raises ValueError."""
    file_end = 8 + int.from_bytes(data[4:8], "little")
    position = _HEADER_BYTES
    # Some writers leave out the padding of the last chunk.
    while position + _CHUNK_HEADER_BYTES <= min(file_end, len(data)):
        kind = data[position : position + 4]
        start = position + _CHUNK_HEADER_BYTES
        end = start + int.from_bytes(data[position + 4 : start], "little")
        if end > len(data) or (kind == b"VP8X" and end == start):
            raise ValueError("a WebP chunk is cut off")
        yield kind, start, end
        position = end + end % 2


def _file(parts: list[tuple[bytes, bytes]]) -> bytes:
    chunks = b"".join(
        kind + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2) for kind, content in parts
    )
    return b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WEBP" + chunks
