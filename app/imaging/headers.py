"""Reads frame counts, canvas sizes and file ends from image containers without decoding pixels.

This is our own code because the decoders report these values too late or not at all: libwebp allocates the canvas
before it returns its size, Pillow counts GIF frames one byte at a time, and a decoder that reads only the first frame
does not detect that a later one is truncated.
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


def check_png_is_complete(data: bytes) -> None:
    """Raise IndexError unless the chunks continue up to IEND, which decoders of a single frame do not read."""
    position = _PNG_SIGNATURE_BYTES
    kind = b""
    while kind != b"IEND":
        if position + _PNG_CHUNK_BYTES > len(data):
            raise IndexError("no IEND chunk")
        kind = data[position + 4 : position + 8]
        position += int.from_bytes(data[position : position + 4], "big") + _PNG_CHUNK_BYTES


def check_iso_boxes_are_complete(data: bytes) -> None:
    """Raise IndexError if a top-level box of an ISO media file (HEIF, AVIF) is longer than the rest of the file."""
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


def read_webp_canvas_size(data: bytes) -> tuple[int, int]:
    """Return width and height. Missing bytes count as zero: the decoder detects truncation."""
    kind = data[12:16]
    if kind == b"VP8X":
        return _little_endian(data, 24, 3) + 1, _little_endian(data, 27, 3) + 1
    if kind == b"VP8L":
        bits = _little_endian(data, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _little_endian(data, 26, 2) & 0x3FFF, _little_endian(data, 28, 2) & 0x3FFF


def _little_endian(data: bytes, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "little")
