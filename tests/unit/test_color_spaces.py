"""Tests of the ICC profiles that are built from code points, PNG chunks and EXIF tags."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image, ImageCms

from app.imaging.color import to_srgb
from app.imaging.color_spaces import profile_from_code_points, profile_from_exif, profile_from_png

# Samples of the color (0.8, 0.3, 0.2) in linear sRGB, computed with the matrices of the standards' documents.
LINEAR_SRGB = (0.8, 0.3, 0.2)
SRGB = (231, 149, 124)


def shown(samples: tuple[int, int, int], profile: bytes | None) -> tuple[int, ...]:
    """Return the sRGB color of a pixel with these samples."""
    pixel = to_srgb(Image.new("RGB", (1, 1), samples), profile, was_grayscale=False).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def chromaticities_chunk(*values: float) -> bytes:
    return struct.pack(">8I", *(round(100_000 * value) for value in values))


def exif(color_space: int | None = None, index: str | None = None, make: str | None = None) -> Image.Exif:
    data = Image.Exif()
    if make:
        data[271] = make
    if color_space is not None:
        data.get_ifd(0x8769)[0xA001] = color_space
    if index:
        data.get_ifd(0x8769)[0xA005] = {1: index}
    loaded = Image.Exif()
    loaded.load(data.tobytes())
    return loaded


@pytest.mark.parametrize("primaries", [1, 2])
@pytest.mark.parametrize("transfer", [1, 2, 6, 13, 14, 15])
def test_srgb_and_sdr_video_need_no_conversion(primaries: int, transfer: int):
    assert profile_from_code_points(primaries, transfer) is None


def test_reserved_code_points_need_no_conversion():
    assert profile_from_code_points(3, 0) is None
    assert profile_from_code_points(200, 200) is None


def test_every_color_space_shows_white_as_white():
    for primaries in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22):
        for transfer in (4, 5, 7, 8, 13):
            profile = profile_from_code_points(primaries, transfer)
            if profile:
                assert shown((255, 255, 255), profile) == pytest.approx((255, 255, 255), abs=1), (primaries, transfer)


@pytest.mark.parametrize(
    "samples, primaries, transfer",
    [
        # Display P3: the published matrix from linear sRGB is 0.8225 0.1774 0 / 0.0332 0.9669 0 / 0.0171 0.0724 0.9108.
        ((219, 153, 129), 12, 13),
        # BT.2020: 0.6274 0.3293 0.0433 / 0.0691 0.9195 0.0114 / 0.0164 0.0880 0.8956.
        ((205, 158, 130), 9, 13),
        ((204, 76, 51), 1, 8),
        ((230, 147, 123), 1, 4),
    ],
    ids=["Display P3", "BT.2020", "linear", "gamma 2.2"],
)
def test_colors_are_converted_to_srgb(samples: tuple[int, int, int], primaries: int, transfer: int):
    assert shown(samples, profile_from_code_points(primaries, transfer)) == pytest.approx(SRGB, abs=2)


@pytest.mark.parametrize(
    "transfer, white",
    # 203 nits is 58 % of the signal in PQ and 75 % in HLG (ITU-R BT.2408, table 1).
    [(16, 148), (18, 191)],
    ids=["PQ", "HLG"],
)
class TestHdr:
    def test_white_of_203_nits_is_nearly_white(self, transfer: int, white: int):
        color = shown((white,) * 3, profile_from_code_points(9, transfer))
        assert color == pytest.approx((243, 243, 243), abs=4)

    def test_highlights_are_brighter_than_white_and_still_distinct(self, transfer: int, white: int):
        profile = profile_from_code_points(9, transfer)
        levels = [shown((level,) * 3, profile)[0] for level in (white, white + 16, white + 32)]
        assert levels == sorted(set(levels))
        assert shown((255, 255, 255), profile) == pytest.approx((255, 255, 255), abs=1)

    def test_black_is_black(self, transfer: int, white: int):
        assert shown((0, 0, 0), profile_from_code_points(9, transfer)) == pytest.approx((0, 0, 0), abs=1)

    def test_bright_colors_keep_their_hue(self, transfer: int, white: int):
        red, green, blue = shown((white + 20, white - 40, white - 60), profile_from_code_points(1, transfer))
        assert red > green + 40 > blue + 40


def test_tones_below_the_knee_are_not_changed():
    # 50 nits in PQ is 44 % of the signal; 50 / 203 in sRGB is 136.
    assert shown((112,) * 3, profile_from_code_points(9, 16)) == pytest.approx((136,) * 3, abs=3)


def test_png_gamma_is_applied():
    profile = profile_from_png({b"gAMA": struct.pack(">I", 100_000)})
    assert shown((204, 76, 51), profile) == pytest.approx(SRGB, abs=2)


def test_png_chromaticities_are_applied():
    p3 = chromaticities_chunk(0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
    assert shown((219, 153, 129), profile_from_png({b"cHRM": p3})) == pytest.approx(SRGB, abs=2)


@pytest.mark.parametrize(
    "chunks",
    [
        {b"gAMA": bytes(4)},
        {b"gAMA": b"\xff" * 4},
        {b"gAMA": b"short"},
        {b"cHRM": bytes(32)},
        {b"cHRM": b"\xff" * 32},
        {b"cHRM": chromaticities_chunk(*[0.3, 0.3] * 4)},
        {b"cICP": b"\x0c\x0d\x00"},
        {b"cICP": b"\x0c\x0d\x09\x00"},
        {b"iCCP": b"name"},
        {b"sRGB": b"\0", b"gAMA": struct.pack(">I", 100_000)},
    ],
)
def test_invalid_or_overridden_png_chunks_are_ignored(chunks: dict[bytes, bytes]):
    assert shown((204, 76, 51), profile_from_png(chunks)) == (204, 76, 51)


def test_png_chunks_take_precedence_in_the_order_of_the_specification():
    icc_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    chunks = {
        b"cICP": bytes([12, 13, 0, 1]),
        b"iCCP": b"name\0\0" + zlib.compress(icc_profile),
        b"sRGB": b"\0",
        b"gAMA": struct.pack(">I", 100_000),
    }
    assert profile_from_png(chunks) == profile_from_code_points(12, 13)
    del chunks[b"cICP"]
    assert profile_from_png(chunks) == icc_profile
    del chunks[b"iCCP"]
    assert profile_from_png(chunks) is None


@pytest.mark.parametrize(
    "data, is_adobe_rgb",
    [
        (exif(65535, "R03"), True),
        (exif(None, "R03"), True),
        (exif(2), True),
        (exif(65535, make="Canon"), True),
        (exif(65535), False),
        (exif(65535, "R98", "Canon"), False),
        (exif(1, "R03"), False),
        (exif(1), False),
        (exif(), False),
    ],
)
def test_adobe_rgb_is_recognized_in_exif_data(data: Image.Exif, *, is_adobe_rgb: bool):
    profile = profile_from_exif(data)
    assert (profile is not None) == is_adobe_rgb
    if profile:
        assert shown((211, 148, 124), profile) == pytest.approx(SRGB, abs=2)


def test_profiles_can_be_opened():
    for code_points in ((9, 13), (9, 16)):
        profile = profile_from_code_points(*code_points)
        assert profile
        assert int.from_bytes(profile[:4], "big") == len(profile)
        assert ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space == "RGB "
