"""Removes the place of a photo from Photoshop image resources and from the IPTC data in them.

Adobe Photoshop File Formats Specification, "Image Resource Blocks"; IPTC-NAA Information Interchange Model 4.2,
chapters 3 (datasets) and 6 (record 2). The length never changes: zeros fill the end of the IPTC data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from app.imaging.stripping.xmp import xmp_without_location

PHOTOSHOP_PREFIX = b"Photoshop 3.0\0"
_SIGNATURES = (b"8BIM", b"PHUT", b"DCSR", b"AgHg", b"MeSa")
_IPTC, _EXIF, _EXIF_3, _XMP, _IPTC_DIGEST = 0x0404, 0x0422, 0x0423, 0x0424, 0x0425
_DIGEST_BYTES = 16
_DATASET_MARKER = 0x1C
_APPLICATION_RECORD = 2
_LOCATION_DATASETS = {26, 27, 90, 92, 95, 100, 101}
"""Content location code and name, city, sublocation, province or state, country code and name."""
_EXTENDED_LENGTH = 0x8000


def resources_without_location(data: bytes) -> bytes:
    """Return image resource blocks without the place, in the same length. Malformed ones become zeros."""
    edited = bytearray(data)
    iptc = digest = b""
    digest_start = 0
    try:
        for kind, start, end in _blocks(data):
            content = data[start:end]
            if kind == _IPTC:
                iptc, edited[start:end] = content, iptc_without_location(content)
            elif kind == _XMP:
                edited[start:end] = xmp_without_location(content)
            elif kind in (_EXIF, _EXIF_3):
                # The file has its EXIF data elsewhere. Programs ignore this copy.
                edited[start:end] = bytes(end - start)
            elif kind == _IPTC_DIGEST:
                digest, digest_start = content, start
    except (IndexError, ValueError):
        return bytes(len(data))
    if len(digest) == _DIGEST_BYTES and digest == _md5(iptc):
        # Programs that find another digest consider the XMP packet outdated.
        edited[digest_start : digest_start + _DIGEST_BYTES] = _md5(iptc_without_location(iptc))
    return bytes(edited)


def iptc_without_location(data: bytes) -> bytes:
    """Return IPTC data without the datasets of the place, in the same length. Malformed data becomes zeros."""
    kept = bytearray()
    position = 0
    while position < len(data) and any(data[position:]):
        try:
            end = _dataset_end(data, position)
        except ValueError:
            return bytes(len(data))
        record, dataset = data[position + 1 : position + 3]
        if record != _APPLICATION_RECORD or dataset not in _LOCATION_DATASETS:
            kept += data[position:end]
        position = end
    return bytes(kept).ljust(len(data), b"\0")


def _dataset_end(data: bytes, start: int) -> int:
    length = int.from_bytes(data[start + 3 : start + 5], "big")
    content = start + 5
    if length & _EXTENDED_LENGTH:
        content += length & ~_EXTENDED_LENGTH
        length = int.from_bytes(data[start + 5 : content], "big")
    if data[start] != _DATASET_MARKER or content + length > len(data):
        raise ValueError("the IPTC data is malformed")
    return content + length


def _blocks(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each resource, and the start and end of its data. Raises ValueError and IndexError."""
    position = 0
    while position < len(data) and any(data[position:]):
        if data[position : position + 4] not in _SIGNATURES:
            raise ValueError("the image resources are malformed")
        name_bytes = data[position + 6] + 1
        start = position + 6 + name_bytes + name_bytes % 2 + 4
        size = int.from_bytes(data[start - 4 : start], "big")
        if start + size > len(data):
            raise ValueError("an image resource is cut off")
        yield int.from_bytes(data[position + 4 : position + 6], "big"), start, start + size
        position = start + size + size % 2


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
