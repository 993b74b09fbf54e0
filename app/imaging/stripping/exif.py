"""Removes the position, or everything but what is needed for display, from EXIF data.

EXIF data is a TIFF file: TIFF 6.0 section 2 describes the directories (IFDs) and the sizes of their values, CIPA
DC-008 (Exif 2.32) section 4.6 the directories for EXIF and GPS. The length never changes when the position is removed,
and no other value is moved, so that offsets remain valid.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import ExifTags, Image

from app.imaging.stripping.photoshop import iptc_without_location, resources_without_location
from app.imaging.stripping.xmp import xmp_without_location

EXIF_PREFIX = b"Exif\0\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_ENTRY_BYTES, _INLINE_BYTES, _LONG_BYTES = 12, 4, 4
_MAX_DIRECTORIES = 100
_GPS, _MAKER_NOTE = 0x8825, 0x927C
_DIRECTORIES = {0x8769, 0xA005, 0x014A}
"""The tags of pointers to the EXIF directory, the interoperability directory and other images."""
_REMOVED = {0x830E, 0x8480, 0x8482, 0x85D8, 0x87AF, 0x87B0, 0x87B1, 0xC634}
"""The tags of GeoTIFF 1.1 section 7.1, and DNGPrivateData, in which cameras keep their notes."""
_EDITED: dict[int, Callable[[bytes], bytes]] = {
    0x02BC: xmp_without_location,
    0x83BB: iptc_without_location,
    0x8649: resources_without_location,
}
_APPLE_NOTE = b"Apple iOS\0"
_DCF_ADOBE_RGB = "R03"


@dataclass(frozen=True, slots=True)
class _Entry:
    raw: bytes
    tag: int
    start: int
    """Where the value is."""
    end: int


class _Directories:
    """Edits EXIF data in place. Values beyond its end are ignored."""

    def __init__(self, data: bytes) -> None:
        self._order = _ORDERS[data[:4]]
        self.data = bytearray(data)
        self._waiting = [self._long(4)]
        self._tables: list[tuple[int, int]] = []
        self._erased: list[tuple[int, int]] = []

    def remove_location(self) -> None:
        seen: set[int] = set()
        while self._waiting:
            start = self._waiting.pop()
            if start and start not in seen and start + 2 <= len(self.data):
                seen.add(start)
                self._edit(start)
            if len(seen) > _MAX_DIRECTORIES:
                raise ValueError("the EXIF data has too many directories")
        # Values that are beyond the end of the data are ignored.
        for start, end in (span for span in self._erased if span[0] < span[1]):
            if any(start < table_end and table_start < end for table_start, table_end in self._tables):
                raise ValueError("directories of the EXIF data overlap")
            self.data[start:end] = bytes(end - start)

    def _edit(self, start: int) -> None:
        entries = list(self._entries(start))
        table_end = start + 2 + _ENTRY_BYTES * len(entries)
        following = self.data[table_end : table_end + _LONG_BYTES]
        if len(following) == _LONG_BYTES:
            self._waiting.append(self._long(table_end))
        self._tables.append((start, table_end + len(following)))
        kept = b"".join(entry.raw for entry in entries if self._is_kept(entry))
        removed = len(entries) - len(kept) // _ENTRY_BYTES
        if removed:
            count = struct.pack(self._order + "H", len(entries) - removed)
            table = count + kept + following + bytes(_ENTRY_BYTES * removed)
            self.data[start : start + len(table)] = table

    def _is_kept(self, entry: _Entry) -> bool:
        value = bytes(self.data[entry.start : entry.end])
        if entry.tag in _DIRECTORIES:
            self._waiting += [self._long(i) for i in range(entry.start, entry.end - 3, _LONG_BYTES)][:_MAX_DIRECTORIES]
        elif entry.tag == _GPS:
            self._erase_gps(self._long(entry.start))
            return False
        elif entry.tag in _REMOVED or (entry.tag == _MAKER_NOTE and not value.startswith(_APPLE_NOTE)):
            if entry.end - entry.start > _INLINE_BYTES:
                self._erased.append((entry.start, entry.end))
            return False
        elif entry.tag in _EDITED:
            self.data[entry.start : entry.end] = _EDITED[entry.tag](value)
            return entry.end - entry.start > _INLINE_BYTES
        return True

    def _erase_gps(self, start: int) -> None:
        entries = list(self._entries(start)) if start + 2 <= len(self.data) else []
        for entry in entries:
            if entry.end - entry.start > _INLINE_BYTES:
                self._erased.append((entry.start, entry.end))
        self._erased.append((start, min(len(self.data), start + 2 + _ENTRY_BYTES * len(entries))))

    def _entries(self, start: int) -> Iterator[_Entry]:
        (count,) = struct.unpack_from(self._order + "H", self.data, start)
        for position in range(start + 2, min(start + 2 + _ENTRY_BYTES * count, len(self.data) - 11), _ENTRY_BYTES):
            tag, kind, length = struct.unpack_from(self._order + "HHI", self.data, position)
            size = _VALUE_BYTES.get(kind, 1) * length
            value = position + 8 if size <= _INLINE_BYTES else self._long(position + 8)
            raw = bytes(self.data[position : position + _ENTRY_BYTES])
            yield _Entry(raw, tag, min(value, len(self.data)), min(value + size, len(self.data)))

    def _long(self, position: int) -> int:
        value: int = struct.unpack_from(self._order + "I", self.data, position)[0]
        return value


def exif_without_location(data: bytes) -> bytes:
    """Return the data without positions and without maker notes, in the same length.

    The formats of maker notes are not published, and some contain positions. Only those of Apple are kept: they contain
    none, and HDR photos need them. Data that cannot be read is replaced by `exif_for_display`.
    """
    prefix = EXIF_PREFIX if data.startswith(EXIF_PREFIX) else b""
    try:
        directories = _Directories(data[len(prefix) :])
        directories.remove_location()
    except (KeyError, ValueError, struct.error):
        minimal = prefix + exif_for_display(data)
        return (minimal if len(minimal) <= len(data) else b"").ljust(len(data), b"\0")
    return prefix + bytes(directories.data)


def exif_for_display(data: bytes) -> bytes:
    """Return new EXIF data that contains only the orientation and the color space, or no bytes if there is neither."""
    found, kept, is_empty = Image.Exif(), Image.Exif(), True
    try:
        found.load(data)
        if (orientation := found.get(ExifTags.Base.Orientation)) in range(2, 9):
            kept[ExifTags.Base.Orientation] = orientation
            is_empty = False
        color_space = found.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        index = str(found.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex, "")).strip("\0 ")
        # A camera that records "uncalibrated" without an index means Adobe RGB, which readers recognize by its make.
        is_from_camera = bool(found.get(ExifTags.Base.Make)) and not index
    except Exception:  # noqa: BLE001 - malformed EXIF data raises any exception, and the image itself may be valid
        color_space, index, is_from_camera = None, "", False
    if isinstance(color_space, int) and color_space in range(2, 0x10000):
        is_empty = False
        kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = color_space
        if index == _DCF_ADOBE_RGB or is_from_camera:
            interop = {int(ExifTags.Interop.InteropIndex): _DCF_ADOBE_RGB}
            kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = interop
    return b"" if is_empty else kept.tobytes().removeprefix(EXIF_PREFIX)
