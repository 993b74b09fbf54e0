"""Removes the position or all metadata from JPEG files.

ITU-T T.81 annex B describes the segments, JFIF 1.02 and CIPA DC-008 section 4.5.4 the application segments, XMP part 3
section 1.1.3 XMP packets that extend over several segments, and CIPA DC-007 the files with more than one image.

The position is removed without moving a byte, because files with several images contain offsets to the later ones.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.imaging.stripping.exif import EXIF_PREFIX, exif_for_display, exif_without_location
from app.imaging.stripping.photoshop import PHOTOSHOP_PREFIX, resources_without_location
from app.imaging.stripping.xmp import xmp_without_location

_START, _END, _SCAN, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_APP0, _APP1, _APP2, _APP12, _APP13, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEC, 0xED, 0xEE, 0xEF
_START_OF_IMAGE = b"\xff\xd8"
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_MARKER_AFTER_SCAN = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
_TIFF_HEADERS = (bytearray(b"II*\0"), bytearray(b"MM\0*"))
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_GUID_BYTES, _EXTENDED_HEADER_BYTES = 32, 40
_ICC = b"ICC_PROFILE\0"
_WITHOUT_LOCATION = (
    (_APP0, b"JFIF\0"),
    (_APP0, b"JFXX\0"),
    (_APP2, _ICC),
    (_APP2, b"MPF\0"),
    (_APP2, b"urn:iso:std:iso:ts:21496:-1\0"),  # Gain maps.
    (_APP12, b"Ducky"),
    (_APP14, b"Adobe"),
)
"""Segments that contain no position, and how they begin."""
_DISPLAYED = ((_APP0, b"JFIF\0"), (_APP2, _ICC), (_APP14, b"Adobe"))
_MAX_IMAGES = 100


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    header_start: int
    start: int
    """Where the content starts, after the marker and the length."""
    end: int

    @property
    def is_optional(self) -> bool:
        return _APP0 <= self.marker <= _APP15 or self.marker == _COMMENT


def jpeg_without_location(data: bytes) -> bytes:
    """Return the file without positions. All its images are kept; what else follows the first one is cut off.

    That is the video of a motion photo, for example. Application segments whose contents are not known become zeros.
    Raises ValueError if the segments cannot be read.
    """
    edited = bytearray(data)
    end = 0
    for _ in range(_MAX_IMAGES):
        following = _skip_zeros(data, end)
        if data[following : following + 3] != b"\xff\xd8\xff":
            break
        try:
            segments = list(_segments(data, following))
            end = segments[-1].end
        except ValueError:
            if not end:
                raise
            break
        _edit(edited, [segment for segment in segments if segment.is_optional])
    if not end:
        raise ValueError("a JPEG image must begin with its start marker")
    return bytes(edited[:end])


def jpeg_for_display(data: bytes) -> bytes:
    """Return the first image of the file with its orientation, its color profile and no other metadata.

    Raises ValueError if the segments cannot be read.
    """
    segments = list(_segments(data, 0))
    parts = [data[:2]]
    exif = next((s for s in segments if s.marker == _APP1 and data.startswith(EXIF_PREFIX, s.start)), None)
    content = exif_for_display(data[exif.start : exif.end]) if exif else b""
    minimal = EXIF_PREFIX + content if content else b""
    position = 2
    for segment in segments:
        is_kept = not segment.is_optional or _begins_like(data, segment, _DISPLAYED)
        if segment.marker != _APP0 and minimal:
            # JFIF requires its segment to be the first one.
            parts.append(b"\xff\xe1" + (len(minimal) + 2).to_bytes(2, "big") + minimal)
            minimal = b""
        if is_kept:
            parts.append(data[position : segment.end])
        elif position < segment.header_start:
            parts.append(data[position : segment.header_start])
        position = segment.end
    return b"".join(parts)


def _segments(data: bytes, start: int) -> Iterator[_Segment]:
    """Yield the segments of the image that starts at `start`. The last one is its end, or that of the file.

    A scan includes its entropy-coded data. Raises ValueError.
    """
    if data[start : start + 2] != _START_OF_IMAGE:
        raise ValueError("a JPEG image must begin with its start marker")
    position, pattern, has_scan = start + 2, _MARKER, False
    while match := pattern.search(data, position):
        marker, position = match[1][0], match.end()
        if marker == _END:
            yield _Segment(marker, match.start(), position, position)
            return
        if marker in _WITHOUT_LENGTH:
            continue
        if marker == _START:
            raise ValueError("a JPEG image begins inside another one")
        end = position + int.from_bytes(data[position : position + 2], "big")
        if not position + 2 <= end <= len(data):
            raise ValueError("a JPEG segment is cut off")
        is_scan = marker == _SCAN
        has_scan |= is_scan
        yield _Segment(marker, match.start(), position + 2, end)
        position, pattern = end, _MARKER_AFTER_SCAN if is_scan else _MARKER
    if not has_scan:
        raise ValueError("a JPEG image has no image data")
    yield _Segment(_END, len(data), len(data), len(data))


def _skip_zeros(data: bytes, position: int) -> int:
    match = re.compile(rb"\0*").match(data, position)
    return match.end() if match else position


def _edit(edited: bytearray, segments: Sequence[_Segment]) -> None:
    exif: list[_Segment] = []
    resources: list[_Segment] = []
    extended: list[_Segment] = []
    for segment in segments:
        if segment.marker == _APP1 and edited.startswith(EXIF_PREFIX, segment.start):
            exif.append(segment)
        elif segment.marker == _APP1 and edited.startswith(_EXTENDED_XMP, segment.start):
            extended.append(segment)
        elif segment.marker == _APP1 and edited.startswith(_XMP, segment.start):
            _replace(edited, [(segment.start + len(_XMP), segment.end)], xmp_without_location)
        elif segment.marker == _APP13 and edited.startswith(PHOTOSHOP_PREFIX, segment.start):
            resources.append(segment)
        elif segment.marker != _COMMENT and not _begins_like(edited, segment, _WITHOUT_LOCATION):
            edited[segment.start : segment.end] = bytes(segment.end - segment.start)
    for group in _exif_groups(edited, exif):
        _replace(edited, [(s.start + len(EXIF_PREFIX), s.end) for s in group], exif_without_location)
    _replace(edited, [(s.start + len(PHOTOSHOP_PREFIX), s.end) for s in resources], resources_without_location)
    _edit_extended_xmp(edited, segments, extended)


def _exif_groups(edited: bytearray, segments: Iterable[_Segment]) -> list[list[_Segment]]:
    """Group segments with EXIF data: one without the header of TIFF continues the one before it."""
    groups: list[list[_Segment]] = []
    for segment in segments:
        start = segment.start + len(EXIF_PREFIX)
        if groups and edited[start : start + 4] not in _TIFF_HEADERS:
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def _edit_extended_xmp(edited: bytearray, segments: Sequence[_Segment], extended: Sequence[_Segment]) -> None:
    """Edit the packets that are divided into segments, and their digests, by which the main packet names them."""
    parts: dict[bytes, list[tuple[int, int, int]]] = {}
    for segment in extended:
        header = segment.start + len(_EXTENDED_XMP)
        content = header + _EXTENDED_HEADER_BYTES
        if content > segment.end:
            raise ValueError("a segment with an XMP packet is cut off")
        offset = int.from_bytes(edited[content - 4 : content], "big")
        parts.setdefault(bytes(edited[header : header + _GUID_BYTES]), []).append((offset, content, segment.end))
    for guid, places in parts.items():
        spans = [(start, end) for _, start, end in sorted(places)]
        before = _gather(edited, spans)
        _replace(edited, spans, xmp_without_location)
        if (after := _gather(edited, spans)) != before and guid == _digest(before):
            for segment in segments:
                if segment.marker == _APP1 and edited.startswith((_XMP, _EXTENDED_XMP), segment.start):
                    place = slice(segment.start, segment.end)
                    edited[place] = edited[place].replace(guid, _digest(after))


def _digest(packet: bytes) -> bytes:
    return hashlib.md5(packet, usedforsecurity=False).hexdigest().upper().encode()


def _replace(edited: bytearray, spans: Sequence[tuple[int, int]], edit: Callable[[bytes], bytes]) -> None:
    """Replace the content that is divided into `spans`. `edit` keeps its length."""
    content = edit(_gather(edited, spans))
    position = 0
    for start, end in spans:
        edited[start:end] = content[position : position + end - start]
        position += end - start


def _gather(edited: bytearray, spans: Sequence[tuple[int, int]]) -> bytes:
    return b"".join(bytes(edited[start:end]) for start, end in spans)


def _begins_like(data: bytes | bytearray, segment: _Segment, kinds: Iterable[tuple[int, bytes]]) -> bool:
    return any(segment.marker == marker and data.startswith(prefix, segment.start) for marker, prefix in kinds)
