"""Removes the position or all metadata from HEIF containers (HEIC, AVIF).

ISO/IEC 14496-12 sections 8.10 and 8.11 describe user data and items, ISO/IEC 23008-12 annex A the items with EXIF data
and XMP packets. No byte is moved: items keep their length, and boxes that are removed become `free` boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from app.imaging.boxes import Box, boxes, child, read_items
from app.imaging.stripping.exif import EXIF_PREFIX, exif_for_display, exif_without_location
from app.imaging.stripping.jpeg import jpeg_for_display, jpeg_without_location
from app.imaging.stripping.xmp import xmp_without_location

_FILE_BOXES = {b"ftyp", b"meta", b"mdat", b"moov", b"pdin", b"wide"}
_META_BOXES = {b"hdlr", b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat", b"dinf", b"grpl", b"ipro"}
_USER_DATA = {b"udta", b"meta", b"uuid"}
_DESCRIPTIONS = {b"udes", b"altt", b"crtt", b"mdft"}
"""The properties with titles, alternative texts and times."""
_HEADERS_WITH_TIMES = {b"mvhd", b"tkhd", b"mdhd"}
_IMAGE_ITEMS = {
    *(b"hvc1", b"hev1", b"lhv1", b"hvt1", b"av01", b"avc1", b"vvc1", b"j2k1", b"unci"),
    *(b"grid", b"iovl", b"iden", b"tmap"),
}
_PICTURE_TRACKS = {b"pict", b"vide", b"auxv"}
_FULL_BOX_BYTES, _OFFSET_BYTES, _MIN_ENTRY_VERSION = 4, 4, 2
_EMPTY_EXIF = b"MM\0*\0\0\0\x08" + bytes(6)


def heif_without_location(data: bytes) -> bytes:
    """Return the file without positions, in the same length. Items and boxes that are not known become zeros.

    Raises ValueError, IndexError, KeyError or struct.error if the boxes cannot be read.
    """
    edited = _without_unknown_boxes(data)
    edits = {b"Exif": _exif_item_without_location, b"mime": xmp_without_location, b"jpeg": jpeg_without_location}
    _edit_items(edited, data, edits)
    return bytes(edited)


def heif_for_display(data: bytes) -> bytes:
    """Return the file with its orientation, colors, auxiliary images and no other metadata, in the same length.

    Raises ValueError, IndexError, KeyError or struct.error if the boxes cannot be read.
    """
    edited = _without_unknown_boxes(data)
    _edit_items(edited, data, {b"Exif": _exif_item_for_display, b"mime": _spaces, b"jpeg": jpeg_for_display})
    items = read_items(data)
    _free(edited, (box for box in items.property_boxes if box.kind in _DESCRIPTIONS) if items else ())
    for movie in (box for box in boxes(data, 0, len(data)) if box.kind == b"moov"):
        _erase_times(edited, data, movie)
    return bytes(edited)


def _without_unknown_boxes(data: bytes) -> bytearray:
    edited = bytearray(data)
    end, has_meta = 0, False
    for box in boxes(data, 0, len(data)):
        end = box.end
        if box.kind not in _FILE_BOXES or (box.kind == b"meta" and has_meta):
            _free(edited, [box])
        elif box.kind == b"meta":
            has_meta = True
            _check_entries(data, box)
            content = boxes(data, box.start + _FULL_BOX_BYTES, box.end)
            _free(edited, (inner for inner in content if inner.kind not in _META_BOXES))
        elif box.kind == b"moov":
            _edit_movie(edited, data, box)
    if end != len(data):
        raise ValueError("the boxes do not fill the file")
    return edited


def _check_entries(data: bytes, meta: Box) -> None:
    table = child(data, meta, b"iinf", skip=_FULL_BOX_BYTES)
    if table is None:
        return
    skip = _FULL_BOX_BYTES + (4 if data[table.start] else 2)
    if any(data[entry.start] < _MIN_ENTRY_VERSION for entry in boxes(data, table.start + skip, table.end)):
        raise ValueError("an item has an old form of description")


def _edit_movie(edited: bytearray, data: bytes, movie: Box) -> None:
    for box in boxes(data, movie.start, movie.end):
        if box.kind in _USER_DATA:
            _free(edited, [box])
        elif box.kind == b"trak":
            media = child(data, box, b"mdia")
            handler = child(data, media, b"hdlr") if media else None
            kind = data[handler.start + 8 : handler.start + 12] if handler else b""
            if kind not in _PICTURE_TRACKS:
                raise ValueError("the file contains a track that has no pictures")
            _free(edited, (inner for inner in boxes(data, box.start, box.end) if inner.kind in _USER_DATA))


def _erase_times(edited: bytearray, data: bytes, parent: Box) -> None:
    """Erase when the movie, and each of its tracks, was created and modified."""
    for box in boxes(data, parent.start, parent.end):
        if box.kind in _HEADERS_WITH_TIMES:
            start = box.start + _FULL_BOX_BYTES
            end = min(box.end, start + (16 if data[box.start] else 8))
            edited[start:end] = bytes(end - start)
        elif box.kind in (b"trak", b"mdia"):
            _erase_times(edited, data, box)


def _edit_items(edited: bytearray, data: bytes, edits: Mapping[bytes, Callable[[bytes], bytes]]) -> None:
    items = read_items(data)
    for item in items.by_id.values() if items else ():
        if item.kind in _IMAGE_ITEMS:
            continue
        if not item.extents:
            raise ValueError("an item with metadata is not in the file itself")
        content = b"".join(data[start:end] for start, end in item.extents)
        content = edits.get(item.kind, _zeros)(content).ljust(len(content), b"\0")
        position = 0
        for start, end in item.extents:
            size = min(end, len(data)) - min(start, len(data))
            edited[start : start + size] = content[position : position + size]
            position += size


def _exif_item_without_location(content: bytes) -> bytes:
    start = _exif_start(content)
    return content[:start] + exif_without_location(content[start:])


def _exif_item_for_display(content: bytes) -> bytes:
    exif = exif_for_display(content[_exif_start(content) :]) or _EMPTY_EXIF
    neutral = bytes(_OFFSET_BYTES) + exif
    return neutral if len(neutral) <= len(content) else bytes(len(content))


def _exif_start(content: bytes) -> int:
    """Return where the TIFF header is. The item begins with its offset, which some writers do not set correctly."""
    start = _OFFSET_BYTES + int.from_bytes(content[:_OFFSET_BYTES], "big")
    if content[start : start + 4] not in (b"II*\0", b"MM\0*") and content.startswith(EXIF_PREFIX, _OFFSET_BYTES):
        return _OFFSET_BYTES + len(EXIF_PREFIX)
    return min(start, len(content))


def _spaces(content: bytes) -> bytes:
    return b" " * len(content)


def _zeros(content: bytes) -> bytes:
    return bytes(len(content))


def _free(edited: bytearray, removed: Iterable[Box]) -> None:
    for box in removed:
        kind = box.header_start + 4
        edited[kind : kind + 4] = b"free"
        edited[box.start : box.end] = bytes(box.end - box.start)
