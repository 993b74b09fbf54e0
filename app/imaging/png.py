"""Reads the chunks of a PNG file: its completeness, its color description, and the chunks that a decoder needs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_SIGNATURE_BYTES = 8
_CHUNK_BYTES = 12
_METADATA_CHUNKS = {b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf"}
_DECODED_CHUNKS = {b"tRNS", b"acTL", b"fcTL", b"fdAT"}
"""The ancillary chunks that affect pixels."""
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_MAX_XMP_BYTES = 1 << 20
_MAX_PROFILE_BYTES = 8_000_000
"""Of an uncompressed ICC profile. libpng, which browsers use, has the same limit."""


@dataclass(frozen=True, slots=True)
class PngChunks:
    color: dict[bytes, bytes]
    """The data of the chunks that describe color, by chunk type."""
    exif: bytes | None
    decoded: bytes
    """The file without the chunks that a decoder does not need.

    Pillow rejects images whose text or profile is large or malformed. Neither affects a thumbnail.
    """


def read_png(data: bytes) -> PngChunks:
    """Return the chunks up to IEND. Raises IndexError if the file ends before, which decoders do not always detect."""
    metadata: dict[bytes, bytes] = {}
    parts = [data[:_SIGNATURE_BYTES]]
    for kind, start, end in read_chunks(data):
        is_critical = not kind[0] & 0x20
        if is_critical or kind in _DECODED_CHUNKS:
            parts.append(data[start:end])
        elif kind in _METADATA_CHUNKS and _is_intact(data, start, end):
            metadata.setdefault(kind, data[start + 8 : end - 4])
    exif = metadata.pop(b"eXIf", None)
    return PngChunks(metadata, exif, b"".join(parts))


def read_png_metadata(data: bytes) -> tuple[bytes | None, bytes | None]:
    """Return the EXIF data and the XMP packet, or None for each that is missing."""
    exif = xmp = None
    for kind, start, end in read_chunks(data):
        content = data[start + 8 : end - 4]
        if kind == b"eXIf":
            exif = exif or content
        elif kind == b"iTXt" and content.startswith(_XMP_KEYWORD):
            xmp = xmp or _international_text(content)
    return exif, xmp


def _international_text(content: bytes) -> bytes:
    """Return the text of an iTXt chunk: keyword, compression flag and method, language, translated keyword, text."""
    is_compressed = content[len(_XMP_KEYWORD)] == 1
    text = content[len(_XMP_KEYWORD) + 2 :].split(b"\0", 2)[2]
    return zlib.decompressobj().decompress(text, _MAX_XMP_BYTES) if is_compressed else text


def read_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, the start and the end of each chunk."""
    start, kind = _SIGNATURE_BYTES, b""
    while kind != b"IEND":
        if start + _CHUNK_BYTES > len(data):
            raise IndexError("no IEND chunk")
        kind = data[start + 4 : start + 8]
        end = start + int.from_bytes(data[start : start + 4], "big") + _CHUNK_BYTES
        yield kind, start, end
        start = end


def _is_intact(data: bytes, start: int, end: int) -> bool:
    return zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")


def read_icc_profile(chunk: bytes) -> bytes | None:
    """Return the profile in the data of an iCCP chunk, or None if it is malformed or larger than 8 MB."""
    _, _, compressed = chunk.partition(b"\0")
    decompressor = zlib.decompressobj()
    try:
        profile = decompressor.decompress(compressed[1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if decompressor.eof else None
