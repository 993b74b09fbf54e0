"""Tests of the functions that read frame counts, canvas sizes and file ends without decoding pixels."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from app.imaging.gif import GifExtent, read_gif_extent
from app.imaging.heif import check_boxes_are_complete
from app.imaging.png import read_png
from app.imaging.webp import read_canvas_size
from tests.pictures import encoded, picture


def gif(frames: int) -> bytes:
    images = [picture(40, 30, seed=seed).quantize(16) for seed in range(frames)]
    return encoded(images[0], "GIF", save_all=True, append_images=images[1:])


def gif_frame(left: int, top: int, width: int, height: int) -> bytes:
    return b"," + struct.pack("<4H", left, top, width, height) + b"\x00\x02\x02D\x01\x00"


GIF_HEADER = b"GIF89a" + struct.pack("<2H", 10, 10) + b"\x00\x00\x00"


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_gif_frames_are_counted(frames: int):
    assert read_gif_extent(gif(frames), max_frames=500) == GifExtent(frames, 40, 30)


def test_counting_stops_one_frame_after_the_limit():
    assert read_gif_extent(GIF_HEADER + gif_frame(0, 0, 1, 1) * 1000, max_frames=5).frames == 6


def test_canvas_includes_a_frame_outside_it():
    data = GIF_HEADER + gif_frame(0, 0, 10, 10) + gif_frame(65000, 50, 100, 100) + b";"
    assert read_gif_extent(data, max_frames=5) == GifExtent(2, 65100, 150)


def test_gif_truncated_in_a_later_frame_is_detected():
    data = gif(3)
    with pytest.raises(IndexError):
        read_gif_extent(data[:-40], max_frames=500)


def test_gif_without_its_trailer_is_complete():
    assert read_gif_extent(gif(2)[:-1], max_frames=500).frames == 2


def test_truncated_png_is_detected():
    data = encoded(picture(20, 20), "PNG")
    read_png(data)
    read_png(data + b"data after the last chunk is ignored")
    for missing_bytes in (1, 12, 13, len(data) - 8):
        with pytest.raises(IndexError):
            read_png(data[:-missing_bytes])


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"}])
def test_webp_canvas_size_is_read(options: dict[str, object]):
    data = encoded(picture(300, 170), "WEBP", **options)
    assert read_canvas_size(data) == (300, 170) == Image.open(io.BytesIO(data)).size


def test_truncated_box_is_detected():
    data = encoded(picture(64, 64), "AVIF")
    check_boxes_are_complete(data)
    with pytest.raises(IndexError):
        check_boxes_are_complete(data[:-1])


def test_64_bit_box_size_is_supported():
    box = struct.pack(">I4sQ", 1, b"mdat", 20) + b"1234"
    check_boxes_are_complete(box)
    with pytest.raises(IndexError):
        check_boxes_are_complete(box[:-1])


def test_data_appended_by_a_camera_is_ignored():
    check_boxes_are_complete(struct.pack(">I4s", 8, b"free") + b"\xff\xff\xff\xffSEFT")


def test_box_of_size_zero_extends_to_the_end_of_the_file():
    check_boxes_are_complete(struct.pack(">I4s", 0, b"mdat") + b"data up to the end of the file")
