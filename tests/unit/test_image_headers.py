"""Frames, canvases and ends of files, read without decoding."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from app.core.image_headers import GifExtent, check_boxes_end, check_png_end, gif_extent, webp_canvas
from tests.pictures import encoded, picture


def gif(frames: int) -> bytes:
    pictures = [picture(40, 30, seed=seed).quantize(16) for seed in range(frames)]
    return encoded(pictures[0], "GIF", save_all=True, append_images=pictures[1:])


def gif_frame(left: int, top: int, width: int, height: int) -> bytes:
    return b"," + struct.pack("<4H", left, top, width, height) + b"\x00\x02\x02D\x01\x00"


GIF_HEAD = b"GIF89a" + struct.pack("<2H", 10, 10) + b"\x00\x00\x00"


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_frames_of_a_gif_are_counted(frames: int):
    assert gif_extent(gif(frames), max_frames=500) == GifExtent(frames, 40, 30)


def test_count_stops_one_past_the_limit():
    assert gif_extent(GIF_HEAD + gif_frame(0, 0, 1, 1) * 1000, max_frames=5).frames == 6


def test_canvas_grows_with_a_frame_outside_it():
    data = GIF_HEAD + gif_frame(0, 0, 10, 10) + gif_frame(65000, 50, 100, 100) + b";"
    assert gif_extent(data, max_frames=5) == GifExtent(2, 65100, 150)


def test_gif_cut_in_a_later_frame_is_noticed():
    whole = gif(3)
    with pytest.raises(IndexError):
        gif_extent(whole[:-40], max_frames=500)


def test_gif_without_its_trailer_is_complete():
    assert gif_extent(gif(2)[:-1], max_frames=500).frames == 2


def test_png_is_followed_to_its_end():
    whole = encoded(picture(20, 20), "PNG")
    check_png_end(whole)
    check_png_end(whole + b"what follows does not matter")
    for cut in (1, 12, 13, len(whole) - 8):
        with pytest.raises(IndexError):
            check_png_end(whole[:-cut])


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"}])
def test_canvas_of_a_webp_is_read(options: dict[str, object]):
    data = encoded(picture(300, 170), "WEBP", **options)
    assert webp_canvas(data) == (300, 170) == Image.open(io.BytesIO(data)).size


def test_box_cut_short_is_noticed():
    whole = encoded(picture(64, 64), "AVIF")
    check_boxes_end(whole)
    with pytest.raises(IndexError):
        check_boxes_end(whole[:-1])


def test_box_with_a_64_bit_size_is_followed():
    box = struct.pack(">I4sQ", 1, b"mdat", 20) + b"1234"
    check_boxes_end(box)
    with pytest.raises(IndexError):
        check_boxes_end(box[:-1])


def test_what_a_camera_appended_is_not_taken_for_a_box():
    check_boxes_end(struct.pack(">I4s", 8, b"free") + b"\xff\xff\xff\xffSEFT")


def test_boxes_without_a_size_end_the_search():
    check_boxes_end(struct.pack(">I4s", 0, b"mdat") + b"to the end")
