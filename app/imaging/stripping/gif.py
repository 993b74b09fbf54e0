"""Removes the position or all metadata from GIF files.

GIF89a sections 17 to 27 describe the blocks; XMP part 3 section 1.1.2 the application extension with an XMP packet.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.imaging.stripping.xmp import xmp_without_location

_SCREEN_BYTES = 13
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, b"\x3b"
_APPLICATION, _COMMENT = 0xFF, 0xFE
_IDENTIFIER_START, _IDENTIFIER_END = 3, 14
_XMP = b"XMP DataXMP"
_MAGIC_TRAILER_BYTES = 258
"""It lets decoders that read the packet as blocks find their end."""
_DISPLAYED = {b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"}


def gif_without_location(data: bytes) -> bytes:
    """Return the file without positions. Application extensions that are not known are left out.

    Raises IndexError if the file is cut off.
    """
    return _strip(data, for_display=False)


def gif_for_display(data: bytes) -> bytes:
    """Return the file with its color profile and without other metadata. Raises IndexError if the file is cut off."""
    return _strip(data, for_display=True)


def _strip(data: bytes, *, for_display: bool) -> bytes:
    position = _SCREEN_BYTES + _palette_bytes(data[10])
    parts = [data[:position]]
    for start, end in _blocks(data, position):
        position = end
        block = data[start:end]
        if block[0] == _EXTENSION and block[1] == _COMMENT and for_display:
            continue
        if block[0] == _EXTENSION and block[1] == _APPLICATION:
            identifier = block[_IDENTIFIER_START:_IDENTIFIER_END]
            packet_end = len(block) - _MAGIC_TRAILER_BYTES
            if identifier == _XMP and packet_end >= _IDENTIFIER_END and not for_display:
                packet = block[_IDENTIFIER_END:packet_end]
                block = block[:_IDENTIFIER_END] + xmp_without_location(packet) + block[packet_end:]
            elif identifier not in _DISPLAYED:
                continue
        parts.append(block)
    return b"".join(parts) + (_TRAILER if position < len(data) else b"")


def _blocks(data: bytes, position: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each image and extension up to the trailer."""
    while position < len(data) and data[position] in (_EXTENSION, _IMAGE):
        header = 2 if data[position] == _EXTENSION else 11 + _palette_bytes(data[position + 9])
        end = position + header
        while size := data[end]:
            end += size + 1
        yield position, end + 1
        position = end + 1


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
