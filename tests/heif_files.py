"""Changes the properties of HEIF files (HEIC, AVIF), which the encoders do not offer."""

from __future__ import annotations

import struct
from collections.abc import Callable

from app.imaging.boxes import Items, boxes, read_items

Associations = dict[int, list[int]]
"""The properties of each item, by position from 1, with the highest of 16 bits set if they are essential."""


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def clap(width: int, height: int, offset_x: int = 0, offset_y: int = 0, *, denominator: int = 1) -> bytes:
    """Return the property that crops to a size, at an offset between the centers in units of 1 / `denominator`."""
    return box(b"clap", struct.pack(">2I2I2i2i", width, 1, height, 1, offset_x, denominator, offset_y, denominator))


def irot(quarter_turns: int) -> bytes:
    return box(b"irot", bytes([quarter_turns]))


def imir(axis: int) -> bytes:
    return box(b"imir", bytes([axis]))


def nclx(primaries: int, transfer: int) -> bytes:
    return box(b"colr", b"nclx" + struct.pack(">3HB", primaries, transfer, 6, 0x80))


def with_properties(data: bytes, *properties: bytes) -> bytes:
    """Return the file with these properties of its primary item, in this order, after those that it has."""

    def associate(items: Items) -> list[Associations]:
        associations = existing(items)
        first = len(items.property_boxes) + 1
        associations[items.primary] += [0x8000 | index for index in range(first, first + len(properties))]
        return [associations]

    return with_associations(data, associate, properties)


def existing(items: Items) -> Associations:
    return {
        item_id: [association.index | association.is_essential << 15 for association in item.associations]
        for item_id, item in items.by_id.items()
    }


def with_associations(
    data: bytes, associate: Callable[[Items], list[Associations]], properties: tuple[bytes, ...] = ()
) -> bytes:
    """Return the file with one `ipma` box for each element that `associate` returns.

    The new `meta` box stands at the end, so that the positions of all data remain the same.
    """
    items = read_items(data)
    assert items
    tables = b"".join(map(association_box, associate(items)))
    meta = data[items.meta.start : items.meta.start + 4]
    for entry in boxes(data, items.meta.start + 4, items.meta.end):
        if entry.kind == b"iprp":
            (container,) = (b for b in boxes(data, entry.start, entry.end) if b.kind == b"ipco")
            content = data[container.start : container.end] + b"".join(properties)
            meta += box(b"iprp", box(b"ipco", content) + tables)
        else:
            meta += data[entry.header_start : entry.end]
    start = items.meta.header_start + 4
    return data[:start] + b"free" + data[start + 4 :] + box(b"meta", meta)


def association_box(associations: Associations) -> bytes:
    content = b"\0\0\0\1" + struct.pack(">I", len(associations))
    for item_id, entries in associations.items():
        content += struct.pack(f">HB{len(entries)}H", item_id, len(entries), *entries)
    return box(b"ipma", content)
