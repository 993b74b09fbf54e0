"""What can be read from the structure of a GIF, PNG, WebP or ISO media file without decoding a pixel.

What ends too early raises IndexError, as any slip off the end of the data does.
"""

from __future__ import annotations

from dataclasses import dataclass

_GIF_SCREEN_BYTES = 13
_GIF_EXTENSION, _GIF_IMAGE = 0x21, 0x2C
_PNG_SIGNATURE_BYTES = 8
_PNG_CHUNK_BYTES = 12
_BOX_BYTES = 8
_LARGE_BOX_BYTES = 16
_BOXES = {b"ftyp", b"meta", b"moov", b"mdat", b"idat", b"free", b"skip"}


@dataclass(frozen=True, slots=True)
class GifExtent:
    frames: int
    width: int
    height: int
    """Of the canvas, which grows with each frame that lies outside it."""


def gif_extent(data: bytes, *, max_frames: int) -> GifExtent:
    """Return the extent of all frames, or of the first `max_frames` + 1 if there are more."""
    frames, width, height = 0, _little(data, 6, 2), _little(data, 8, 2)
    position = _GIF_SCREEN_BYTES + _gif_palette_bytes(data[10])
    while position < len(data) and frames <= max_frames:
        if data[position] == _GIF_EXTENSION:
            position = _skip_gif_blocks(data, position + 2)
        elif data[position] == _GIF_IMAGE:
            frames += 1
            left, top, across, down = (_little(data, position + i, 2) for i in (1, 3, 5, 7))
            width, height = max(width, left + across), max(height, top + down)
            position = _skip_gif_blocks(data, position + 11 + _gif_palette_bytes(data[position + 9]))
        else:
            break
    return GifExtent(frames, width, height)


def _gif_palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_gif_blocks(data: bytes, position: int) -> int:
    while size := data[position]:
        position += size + 1
    return position + 1


def check_png_end(data: bytes) -> None:
    """Raise IndexError unless the file goes on to its last chunk, which decoders of one frame never look for."""
    position = _PNG_SIGNATURE_BYTES
    kind = b""
    while kind != b"IEND":
        if position + _PNG_CHUNK_BYTES > len(data):
            raise IndexError("no IEND chunk")
        kind = data[position + 4 : position + 8]
        position += int.from_bytes(data[position : position + 4], "big") + _PNG_CHUNK_BYTES


def check_boxes_end(data: bytes) -> None:
    """Raise IndexError if a top-level box of an ISO media file (HEIF, AVIF) ends after the file does."""
    position = 0
    # Cameras append data of their own, so that what is not known to be a box is not held to be one.
    while data[position + 4 : position + 8] in _BOXES:
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + _BOX_BYTES : position + _LARGE_BOX_BYTES], "big")
        if size < _BOX_BYTES:
            return  # 0 is "to the end of the file", and less is for the decoder to refuse.
        position += size
    if position > len(data):
        raise IndexError("box cut short")


def webp_canvas(data: bytes) -> tuple[int, int]:
    """Return width and height; libwebp allocates the canvas before it can be asked for them."""
    kind = data[12:16]
    if kind == b"VP8X":
        return _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    if kind == b"VP8L":
        bits = _little(data, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF


def _little(data: bytes, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "little")
