"""Reads the canvas size of WebP files, and detects data that was replaced by zeros, which libwebp does not report."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

_HEADER_BYTES = 12
_CHUNK_HEADER_BYTES = 8
_FRAME_HEADER_BYTES = 16
_IMAGE_CHUNKS = {b"VP8 ", b"VP8L", b"ALPH"}
_ALTERED_BYTES = 8
_COMPARED_ROWS = 160
"""The last bytes of a chunk encode a part of these rows at the bottom, even if it is split into eight partitions."""


def read_canvas_size(data: bytes) -> tuple[int, int]:
    """Return width and height. Missing bytes count as zero: the decoder detects truncation."""
    kind = data[12:16]
    if kind == b"VP8X":
        return _little_endian(data, 24, 3) + 1, _little_endian(data, 27, 3) + 1
    if kind == b"VP8L":
        bits = _little_endian(data, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _little_endian(data, 26, 2) & 0x3FFF, _little_endian(data, 28, 2) & 0x3FFF


def check_chunks(data: bytes) -> None:
    """Raise ValueError if zeros replace the header of a chunk, and so the chunk itself."""
    if any(kind == bytes(4) for kind, _, _ in _chunks(data, _HEADER_BYTES, 8 + _little_endian(data, 4, 4))):
        raise ValueError("a chunk is missing")


class WebpImage(WebPImageFile):
    """An image that can be loaded once, which frees the decoder and the two canvases that it holds."""

    def _get_next(self) -> tuple[bytes, int, int]:
        frame = super()._get_next()
        self.free_decoder()
        return frame

    def free_decoder(self) -> None:
        self._decoder = None


def load_webp(image: WebpImage, data: bytes) -> WebpImage:
    """Return the loaded image. Raises ValueError if zeros replace the end of its data.

    Zeros can be valid image data: an area of one color is encoded so. They are then needed to the last byte, whereas
    zeros that replace other data contain more symbols than the image has. Therefore a copy with other bytes at the end
    is decoded if there are zeros. If it shows the same image, the decoder did not need the end.
    """
    zeroed_ends = [
        end
        for _, start, end in _first_image(data)
        if end - start > _ALTERED_BYTES and not any(data[end - _ALTERED_BYTES : end])
    ]
    if zeroed_ends:
        image.free_decoder()
        altered_rows = [_decode_bottom_rows(_with_other_end(data, end)) for end in zeroed_ends]
        image = WebpImage(io.BytesIO(data))
        image.load()
        if _bottom_rows(image) in altered_rows:
            raise ValueError("the end of the image data is missing")
    else:
        image.load()
    return image


def _with_other_end(data: bytes, end: int) -> bytes:
    return data[: end - _ALTERED_BYTES] + b"\xff" * _ALTERED_BYTES + data[end:]


def _decode_bottom_rows(data: bytes) -> bytes | None:
    image = WebpImage(io.BytesIO(data))
    try:
        image.load()
    except (OSError, ValueError):  # The altered bytes were decoded, and are invalid.
        return None
    return _bottom_rows(image)


def _bottom_rows(image: Image.Image) -> bytes:
    return image.crop((0, max(0, image.height - _COMPARED_ROWS), image.width, image.height)).tobytes()


def _first_image(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunks with the pixels of the image or of the first frame."""
    for kind, start, end in _chunks(data, _HEADER_BYTES, len(data)):
        if kind == b"ANMF":
            yield from (c for c in _chunks(data, start + _FRAME_HEADER_BYTES, end) if c[0] in _IMAGE_CHUNKS)
            return
        if kind in _IMAGE_CHUNKS:
            yield kind, start, end


def _chunks(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each chunk, and the start and the end of its content."""
    while start + _CHUNK_HEADER_BYTES <= min(end, len(data)):
        size = _little_endian(data, start + 4, 4)
        content = start + _CHUNK_HEADER_BYTES
        yield data[start : start + 4], content, min(content + size, end)
        start = content + size + size % 2


def _little_endian(data: bytes, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "little")
