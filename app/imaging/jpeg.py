"""Decides whether a JPEG file without its end marker is complete."""

from __future__ import annotations

import io
import re
import zlib

from PIL.JpegImagePlugin import JpegImageFile

_START_OF_SCAN = 0xDA
_STARTS_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_NOT_A_SEGMENT = {0x00, 0x01, *range(0xD0, 0xD9), 0xFF}
"""The bytes that do not begin a segment after 0xFF: stuffing, fill bytes and markers without a length."""
_MARKER_PREFIX = b"\xff"
_END_OF_IMAGE = b"\xff\xd9"
_MARKER_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_COEFFICIENTS = 64
_PADDING_BYTES = 1024
_END = bytes(_PADDING_BYTES) + _END_OF_IMAGE
_OTHER_END = b"\xaa" * _PADDING_BYTES + _END_OF_IMAGE
_ROWS = 256


def with_end_marker(data: bytes) -> bytes:
    """Return a file that lacks nothing but its end marker with one. Raises ValueError if it lacks more.

    A decoder fills missing data silently once an end marker follows. This decodes the file twice, with different bytes
    in front of the marker: they change the image exactly if the decoder still needed data.
    """
    # A file that ends in the middle of a marker was cut off there.
    if data.endswith(_MARKER_PREFIX) or not _has_every_scan(data):
        raise ValueError("a scan is missing")
    # Zeros at the end are space that was reserved or lost, unless the data of an area of one color ends with them.
    stripped = data.rstrip(b"\0")
    if _is_complete(stripped):
        return stripped + _END
    if stripped != data and _is_complete(data) and not _is_complete(data[:-1]):
        return data + _END
    raise ValueError("image data is missing")


def _is_complete(data: bytes) -> bool:
    return _checksum(data + _END) == _checksum(data + _OTHER_END)


def _checksum(data: bytes) -> int:
    """Return a checksum of all pixels, without a copy of the whole image."""
    image = JpegImageFile(io.BytesIO(data))
    image.load()
    checksum = 0
    for top in range(0, image.height, _ROWS):
        checksum = zlib.crc32(image.crop((0, top, image.width, min(image.height, top + _ROWS))).tobytes(), checksum)
    return checksum


def _has_every_scan(data: bytes) -> bool:
    """Return whether the scans contain every coefficient of every component in full precision.

    The scans of a progressive file refine the image, so a file that ends between two of them shows all its pixels.
    """
    components: set[int] = set()
    precision: dict[tuple[int, int], int] = {}
    position = 2
    while position + 4 <= len(data):
        prefix, marker = data[position : position + 1], data[position + 1]
        if prefix != _MARKER_PREFIX or marker in _NOT_A_SEGMENT:
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        segment = data[position + 4 : position + 2 + length]
        position += 2 + length
        if marker in _STARTS_OF_FRAME:
            components = set(segment[6::3])
        elif marker == _START_OF_SCAN:
            *_, first, last, approximation = segment
            for component in segment[1 : 1 + 2 * segment[0] : 2]:
                precision |= {(component, i): approximation & 15 for i in range(first, min(last + 1, _COEFFICIENTS))}
            following = _MARKER_AFTER_SCAN.search(data, position)
            position = following.end() - 2 if following else len(data)
    return all(precision.get((component, i)) == 0 for component in components for i in range(_COEFFICIENTS))
