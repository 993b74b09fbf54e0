"""Reads the boxes and items of HEIF containers (HEIC, AVIF) without decoding pixels.

The layout is described in ISO/IEC 14496-12 (boxes, `iloc`) and ISO/IEC 23008-12 (items and their properties). A file
that does not follow it raises IndexError, ValueError, KeyError or struct.error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_FULL_BOX_BYTES = 4
_SAMPLE_ENTRY_BYTES = 78
_TO_SAMPLE_ENTRY = (b"mdia", b"minf", b"stbl", b"stsd")


@dataclass(frozen=True, slots=True)
class Box:
    kind: bytes
    header_start: int
    start: int
    """Where the content starts, after the header."""
    end: int


@dataclass(frozen=True, slots=True)
class Association:
    """A property that applies to an item."""

    index: int
    """The position of the property in `Items.property_boxes`, counted from 1."""
    is_essential: bool


@dataclass(slots=True)
class Item:
    kind: bytes = b""
    associations: list[Association] = field(default_factory=list)
    properties: list[Box] = field(default_factory=list)
    """The associated properties, in the same order."""
    extents: list[tuple[int, int]] = field(default_factory=list)
    """The first byte and the end of each part of its data, as positions in the file."""
    auxiliary_of: list[int] = field(default_factory=list)
    """The items of which this is an auxiliary image, such as their alpha channel."""


@dataclass(frozen=True, slots=True)
class Items:
    primary: int
    by_id: dict[int, Item]
    meta: Box
    property_boxes: list[Box]
    association_boxes: list[Box]
    """The `ipma` boxes. A valid file has at most one for each version and flags."""


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes from `start` to `end`, up to the first that is longer than the remaining data."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            return
        yield Box(kind, start, start + header, start + size)
        start += size


def child(data: bytes, parent: Box, kind: bytes, *, skip: int = 0) -> Box | None:
    """Return the first box of a kind in another box, after `skip` bytes, or None."""
    return next((box for box in boxes(data, parent.start + skip, parent.end) if box.kind == kind), None)


def read_items(data: bytes) -> Items | None:
    """Return the items of the file, or None if it has none, as files that contain only tracks."""
    meta = next((box for box in boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if meta is None:
        return None
    found = {box.kind: box for box in boxes(data, meta.start + _FULL_BOX_BYTES, meta.end)}
    if not found.keys() >= {b"pitm", b"iinf", b"iloc"}:
        return None
    primary = _Reader(data, found[b"pitm"])
    items = dict(_read_kinds(data, found[b"iinf"]))
    idat = found.get(b"idat")
    _read_extents(data, found[b"iloc"], items, idat.start if idat else len(data))
    if b"iref" in found:
        _read_references(data, found[b"iref"], items)
    primary_id = primary.integer(4 if primary.version else 2)
    containers = list(boxes(data, found[b"iprp"].start, found[b"iprp"].end)) if b"iprp" in found else []
    property_boxes = [
        box
        for container in containers
        if container.kind == b"ipco"
        for box in boxes(data, container.start, container.end)
    ]
    association_boxes = [box for box in containers if box.kind == b"ipma"]
    for box in association_boxes:
        _read_associations(data, box, items, property_boxes)
    return Items(primary_id, items, meta, property_boxes, association_boxes)


def track_properties(data: bytes) -> list[Box]:
    """Return the properties of the first track with AV1 frames, which an AVIF image sequence displays."""
    for moov in (box for box in boxes(data, 0, len(data)) if box.kind == b"moov"):
        for track in (box for box in boxes(data, moov.start, moov.end) if box.kind == b"trak"):
            box: Box | None = track
            for kind in _TO_SAMPLE_ENTRY:
                box = child(data, box, kind) if box else None
            entry = child(data, box, b"av01", skip=8) if box else None
            if entry:
                return list(boxes(data, entry.start + _SAMPLE_ENTRY_BYTES, entry.end))
    return []


class _Reader:
    """Reads consecutive integers from the content of a box that begins with a version and flags."""

    def __init__(self, data: bytes, box: Box) -> None:
        self._data, self._position, self._end = data, box.start + _FULL_BOX_BYTES, box.end
        self.version = data[box.start]
        self.flags = data[box.start + 3]

    def integer(self, size: int) -> int:
        """Return the next big-endian integer of `size` bytes. Raises IndexError at the end of the box."""
        start, self._position = self._position, self._position + size
        if self._position > self._end:
            raise IndexError("the box is too short")
        return int.from_bytes(self._data[start : self._position], "big")


def _read_kinds(data: bytes, box: Box) -> Iterator[tuple[int, Item]]:
    skip = _FULL_BOX_BYTES + (4 if data[box.start] else 2)
    for entry in boxes(data, box.start + skip, box.end):
        reader = _Reader(data, entry)
        if entry.kind == b"infe" and reader.version >= 2:
            item_id = reader.integer(4 if reader.version == 3 else 2)
            reader.integer(2)
            yield item_id, Item(reader.integer(4).to_bytes(4, "big"))


def _read_extents(data: bytes, box: Box, items: dict[int, Item], idat_start: int) -> None:
    reader = _Reader(data, box)
    sizes = reader.integer(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(reader.integer(4 if reader.version == 2 else 2)):
        item = items.get(reader.integer(4 if reader.version == 2 else 2), Item())
        method = reader.integer(2) & 15 if reader.version else 0
        reference = reader.integer(2)
        base = reader.integer(base_size) + (idat_start if method == 1 else 0)
        for _ in range(reader.integer(2)):
            if reader.version and index_size:
                reader.integer(index_size)
            start = base + reader.integer(offset_size)
            # A length of 0 means "up to the end of the file". Data in other files or items is not read.
            end = start + reader.integer(length_size) or len(data)
            if method in (0, 1) and reference == 0:
                item.extents.append((start, end if end > start else len(data)))


def _read_references(data: bytes, box: Box, items: dict[int, Item]) -> None:
    size = 4 if data[box.start] else 2
    for reference in boxes(data, box.start + _FULL_BOX_BYTES, box.end):
        if reference.kind == b"auxl":
            position = reference.start + size + 2
            targets = [
                int.from_bytes(data[i : i + size], "big") for i in range(position, reference.end - size + 1, size)
            ]
            item_id = int.from_bytes(data[reference.start : reference.start + size], "big")
            items.get(item_id, Item()).auxiliary_of.extend(targets)


def _read_associations(data: bytes, box: Box, items: dict[int, Item], property_boxes: list[Box]) -> None:
    reader = _Reader(data, box)
    size = 2 if reader.flags & 1 else 1
    essential_bit = 0x80 << 8 * (size - 1)
    for _ in range(reader.integer(4)):
        item = items.get(reader.integer(4 if reader.version else 2), Item())
        for _ in range(reader.integer(1)):
            value = reader.integer(size)
            index = value & ~essential_bit
            if 0 < index <= len(property_boxes):
                item.associations.append(Association(index, bool(value & essential_bit)))
                item.properties.append(property_boxes[index - 1])
