"""Reads what HEIF containers (HEIC, AVIF) declare about their primary image, and checks and repairs their items."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile

from app.imaging.bitstreams import CodePoints, av1_code_points, hevc_code_points
from app.imaging.boxes import Association, Box, Item, Items, boxes, track_properties

_HEVC_ITEMS = {b"hvc1", b"hev1"}
_HVCC_LENGTH_SIZE = 21
_MIN_NAL_UNIT_BYTES = 2
_CONFIGURATIONS = {b"hvcC", b"av1C"}
_AV1C_BYTES = 4
_AV1_HEADER_BYTES = 256
_ROTATIONS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}


_BOXES = {b"ftyp", b"meta", b"moov", b"mdat", b"idat", b"free", b"skip"}
_BOX_BYTES = 8
_LARGE_BOX_BYTES = 16


class AvifImage(AvifImageFile):
    """An image that can be loaded once, which frees the decoder and the pixels that it holds."""

    def load_end(self) -> None:
        self._decoder = self.fp = None


@dataclass(frozen=True, slots=True)
class CleanAperture:
    """The part of an image that remains after cropping (`clap`): its size, and the distance between the centers."""

    width: Fraction
    height: Fraction
    offset_x: Fraction
    offset_y: Fraction

    def box(self, width: int, height: int) -> tuple[int, int, int, int] | None:
        """Return left, top, right and bottom within an image of the given size, or None if nothing remains."""
        left, top = (
            _round(offset + (full - part) / 2)
            for offset, full, part in ((self.offset_x, width, self.width), (self.offset_y, height, self.height))
        )
        right, bottom = min(width, left + _round(self.width)), min(height, top + _round(self.height))
        left, top = max(0, left), max(0, top)
        return (left, top, right, bottom) if left < right and top < bottom else None


def _round(number: Fraction) -> int:
    return floor(number + Fraction(1, 2))


@dataclass(frozen=True, slots=True)
class Transformations:
    """How the primary image is displayed: it is cropped first, then transposed in the order of the tuple."""

    aperture: CleanAperture | None
    transpositions: tuple[Image.Transpose, ...]


def check_boxes_are_complete(data: bytes) -> None:
    """Raise IndexError if a top-level box is longer than the rest of the file."""
    position = 0
    # Cameras append proprietary data after the last box, so the loop ends at the first unknown box type.
    while data[position + 4 : position + 8] in _BOXES:
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + _BOX_BYTES : position + _LARGE_BOX_BYTES], "big")
        if size < _BOX_BYTES:
            return  # 0 means "up to the end of the file"; the decoder rejects other sizes below the header's length.
        position += size
    if position > len(data):
        raise IndexError("truncated box")


def primary_properties(data: bytes, items: Items | None) -> list[Box]:
    """Return the properties of the image that a decoder shows: of the track in a sequence, else of the primary item."""
    if data[8:12] == b"avis" or items is None:
        return track_properties(data)
    return items.by_id[items.primary].properties


def read_transformations(data: bytes, properties: list[Box]) -> Transformations:
    """Return the transformations among the properties, whose order is that in which they are associated."""
    aperture, transpositions = None, []
    for box in properties:
        if box.kind == b"clap":
            aperture = _read_clean_aperture(data[box.start : box.end])
        elif box.kind == b"irot" and data[box.start] & 3:
            transpositions.append(_ROTATIONS[data[box.start] & 3])
        elif box.kind == b"imir":
            is_horizontal = data[box.start] & 1
            transpositions.append(Image.Transpose.FLIP_LEFT_RIGHT if is_horizontal else Image.Transpose.FLIP_TOP_BOTTOM)
    return Transformations(aperture, tuple(transpositions))


def _read_clean_aperture(content: bytes) -> CleanAperture | None:
    numbers = struct.unpack_from(">2I2I2i2i", content)
    # Writers before 2020 wrote negative denominators of offsets as unsigned numbers, which is the same in 32 bits.
    if 0 in numbers[1::2]:
        return None
    return CleanAperture(*(Fraction(*numbers[i : i + 2]) for i in (0, 2, 4, 6)))


def read_code_points(data: bytes, properties: list[Box], items: Items | None) -> CodePoints | None:
    """Return the color code points of an `nclx` property, else those in the bitstream, else None.

    A grid has no bitstream. Its tiles, which are the first other items, may have the color properties in its place.
    """
    candidates = list(properties)
    if items and not any(box.kind in _CONFIGURATIONS for box in properties):
        candidates += [box for item in items.by_id.values() for box in item.properties]
    for box in candidates:
        if box.kind == b"colr" and data[box.start : box.start + 4] == b"nclx":
            primaries, transfer = struct.unpack_from(">2H", data, box.start + 4)
            return primaries, transfer
    try:
        return _read_bitstream(data, candidates, items)
    except IndexError:  # The decoder decides whether the image is valid.
        return None


def _read_bitstream(data: bytes, properties: list[Box], items: Items | None) -> CodePoints | None:
    for box in properties:
        if box.kind == b"hvcC":
            return hevc_code_points(data[box.start : box.end])
        if box.kind == b"av1C":
            # The units in the property are optional. The data of the image begins with the same ones.
            extents = (
                next((item.extents for item in items.by_id.values() if box in item.properties), []) if items else []
            )
            start = extents[0][0] if extents else len(data)
            return av1_code_points(data[box.start + _AV1C_BYTES : box.end] + data[start : start + _AV1_HEADER_BYTES])
    return None


def check_hevc_items(data: bytes, items: Items | None) -> None:
    """Raise ValueError if the data of an HEVC image is damaged. libde265 conceals damage instead of reporting it.

    HEVC data never contains three zero bytes in succession (ITU-T H.265 section 7.4.2), so an area of zeros that
    replaced lost data is detected.
    """
    for item in items.by_id.values() if items else ():
        configuration = next((box for box in item.properties if box.kind == b"hvcC"), None)
        if item.kind in _HEVC_ITEMS and configuration:
            _check_nal_units(_item_data(data, item), (data[configuration.start + _HVCC_LENGTH_SIZE] & 3) + 1)


def _item_data(data: bytes, item: Item) -> bytes:
    if any(end > len(data) for _, end in item.extents):
        raise ValueError("an item extends beyond the end of the file")
    return b"".join(data[start:end] for start, end in item.extents)


def _check_nal_units(data: bytes, length_size: int) -> None:
    position = 0
    while position < len(data):
        start = position + length_size
        position = start + int.from_bytes(data[position:start], "big")
        if not start + _MIN_NAL_UNIT_BYTES <= position <= len(data) or data.find(b"\0\0\0", start, position) >= 0:
            raise ValueError("an HEVC image is damaged")


def with_valid_associations(data: bytes, items: Items | None) -> bytes:
    """Return the file with its property associations repaired, or unchanged if libavif accepts them.

    libavif rejects two errors of early AVIF encoders that browsers accept: more than one `ipma` box of a kind, and an
    alpha image without its size (`ispe`), which is that of the primary image.
    """
    if items is None:
        return data
    size = next((a for a in _sizes(items, items.by_id[items.primary])), None)
    added = {
        item_id: [size]
        for item_id, item in items.by_id.items()
        if size and items.primary in item.auxiliary_of and not _sizes(items, item)
    }
    kinds = [data[box.start : box.start + 4] for box in items.association_boxes]
    if not added and len(kinds) == len(set(kinds)):
        return data
    associations = {
        item_id: [*item.associations, *added.get(item_id, [])]
        for item_id, item in sorted(items.by_id.items())
        if item.associations or item_id in added
    }
    return _with_associations(data, items, associations)


def _sizes(items: Items, item: Item) -> list[Association]:
    return [a for a in item.associations if items.property_boxes[a.index - 1].kind == b"ispe"]


def _with_associations(data: bytes, items: Items, associations: dict[int, list[Association]]) -> bytes:
    """Return the file with another `meta` box at its end. All other positions in the file remain the same."""
    table = bytearray(struct.pack(">B3xI", 1, len(associations))[:3] + b"\x01" + struct.pack(">I", len(associations)))
    for item_id, entries in associations.items():
        table += struct.pack(">IB", item_id, len(entries))
        table += b"".join(struct.pack(">H", entry.index | entry.is_essential << 15) for entry in entries)
    meta = data[items.meta.start : items.meta.start + 4]
    for box in boxes(data, items.meta.start + 4, items.meta.end):
        if box.kind == b"iprp":
            containers = b"".join(
                data[b.header_start : b.end] for b in boxes(data, box.start, box.end) if b.kind != b"ipma"
            )
            meta += _box(b"iprp", containers + _box(b"ipma", bytes(table)))
        else:
            meta += data[box.header_start : box.end]
    kind_position = items.meta.header_start + 4
    return data[:kind_position] + b"free" + data[kind_position + 4 :] + _box(b"meta", meta)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content
