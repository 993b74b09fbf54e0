"""Reads the frame count, the canvas size and the end of a GIF file without decoding pixels.

This is our own code because Pillow counts frames one byte at a time, and a decoder that reads only the first frame does
not detect that a later one is truncated.
"""

from __future__ import annotations

from dataclasses import dataclass

_GIF_SCREEN_BYTES = 13
_GIF_EXTENSION, _GIF_IMAGE = 0x21, 0x2C


@dataclass(frozen=True, slots=True)
class GifExtent:
    """The number of frames and the size of the canvas, which grows to include every frame outside it."""

    frames: int
    width: int
    height: int


def read_gif_extent(data: bytes, *, max_frames: int) -> GifExtent:
    """Return the extent of all frames, or of the first `max_frames` + 1 if there are more.

    Raises IndexError if the file is truncated.
    """
    frames, width, height = 0, _little_endian(data, 6, 2), _little_endian(data, 8, 2)
    position = _GIF_SCREEN_BYTES + _gif_palette_bytes(data[10])
    while position < len(data) and frames <= max_frames:
        if data[position] == _GIF_EXTENSION:
            position = _skip_gif_blocks(data, position + 2)
        elif data[position] == _GIF_IMAGE:
            frames += 1
            left, top, frame_width, frame_height = (_little_endian(data, position + i, 2) for i in (1, 3, 5, 7))
            width, height = max(width, left + frame_width), max(height, top + frame_height)
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


def _little_endian(data: bytes, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "little")
