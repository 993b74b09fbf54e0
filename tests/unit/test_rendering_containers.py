"""Tests of rendering where the container decides: cropping, orientation, color descriptions and damaged data."""

from __future__ import annotations

import functools
import io
import re
import struct
from collections.abc import Callable
from itertools import product
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from app.domain.errors import ImageCorrupt
from app.imaging.boxes import Items, read_items
from app.imaging.heif import primary_properties, read_code_points
from tests.heif_files import (
    Associations,
    clap,
    existing,
    imir,
    irot,
    nclx,
    with_associations,
    with_properties,
)
from tests.pictures import encoded, jpeg, picture
from tests.unit.test_rendering import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    chunk,
    corners,
    decoded,
    encoded_as,
    exif,
    halves,
    heic,
    is_close,
    png_with,
    quadrants,
    rendered,
)

HEIF_FORMATS = ["AVIF", "HEIC"]


def is_corrupt(data: bytes) -> bool:
    try:
        rendered(data, sizes=(100,))
    except ImageCorrupt:
        return True
    return False


def precise(image: Image.Image, image_format: str) -> bytes:
    if image_format == "HEIC":
        return heic(image, quality=-1, chroma=444)
    return encoded(image, "AVIF", quality=100, subsampling="4:4:4")


# Cropping and orientation of HEIF images


@pytest.mark.parametrize("image_format", HEIF_FORMATS)
@pytest.mark.parametrize(
    "offsets, color", [((-24, -16), RED), ((24, -16), GREEN), ((-24, 16), BLUE), ((24, 16), WHITE)]
)
def test_only_the_clean_aperture_is_shown(image_format: str, offsets: tuple[int, int], color: tuple[int, int, int]):
    data = with_properties(precise(quadrants(), image_format), clap(48, 32, *offsets))
    result, header = rendered(data), rendered(data, sizes=())
    assert (result.width, result.height) == (header.width, header.height) == (48, 32)
    image = decoded(result.thumbnails[0])
    assert image.size == (48, 32)
    # The pixels at the edges would be mixed with those outside if the image was cropped after its reduction.
    assert all(is_close(image.getpixel((x, y)), color) for x, y in product((1, 24, 46), (1, 16, 30)))


@pytest.mark.parametrize("image_format", HEIF_FORMATS)
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_image_is_cropped_then_rotated_then_mirrored(image_format: str, turns: int, axis: int | None):
    properties = [clap(48, 64, 24), irot(turns), *([imir(axis)] if axis is not None else [])]
    data = with_properties(encoded_as(quadrants(), image_format), *properties)
    expected = quadrants().crop((48, 0, 96, 64)).rotate(90 * turns, expand=True)
    if axis is not None:
        expected = expected.transpose(Image.Transpose.FLIP_LEFT_RIGHT if axis else Image.Transpose.FLIP_TOP_BOTTOM)
    result, header = rendered(data), rendered(data, sizes=())
    assert (result.width, result.height) == (header.width, header.height) == expected.size
    w, h = expected.size
    pixels = [expected.getpixel((x, y)) for y in (h // 4, h * 3 // 4) for x in (w // 4, w * 3 // 4)]
    assert list(corners(result)) == pixels


def test_transpositions_are_applied_in_the_order_of_the_file():
    avif, heif = (
        corners(rendered(with_properties(encoded_as(quadrants(), image_format), imir(1), irot(1))))
        for image_format in HEIF_FORMATS
    )
    assert avif == heif != corners(rendered(with_properties(encoded_as(quadrants(), "AVIF"), irot(1), imir(1))))


@pytest.mark.parametrize(
    "aperture", [clap(96, 64), clap(48, 32, denominator=0), clap(20, 20, 1000, 1000), clap(900, 900)]
)
def test_clean_aperture_that_is_invalid_or_crops_nothing_is_ignored(aperture: bytes):
    result = rendered(with_properties(encoded_as(quadrants(), "AVIF"), aperture))
    assert (result.width, result.height) == (96, 64)


def test_clean_aperture_may_have_a_fractional_position():
    # The file declares a left edge of 72.5 pixels, which is rounded up, as other decoders do.
    data = with_properties(encoded_as(quadrants(), "AVIF"), clap(13, 64, 62, denominator=2))
    assert rendered(data).width == 13


def test_crop_of_a_transparent_image_keeps_its_transparency():
    data = encoded(halves("RGBA", (*RED, 255), (*BLUE, 0)), "AVIF", quality=100)
    (thumbnail, *_) = rendered(with_properties(data, clap(20, 40, 10))).thumbnails
    assert decoded(thumbnail).getchannel("A").getextrema() == (0, 0)


def test_crop_of_an_animation_is_applied():
    frames = [quadrants(), quadrants().rotate(180)]
    data = encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    assert data[8:12] == b"avis"
    # The sample entry and the boxes around it grow. All of them are behind the data to which the file refers.
    grown = data
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"av01"):
        start = grown.index(kind, data.index(b"moov")) - 4
        size = struct.unpack_from(">I", grown, start)[0]
        grown = grown[:start] + struct.pack(">I", size + len(clap(1, 1))) + grown[start + 4 :]
    entry = grown.index(b"av01", data.index(b"moov")) - 4
    end = entry + struct.unpack_from(">I", grown, entry)[0] - len(clap(1, 1))
    grown = grown[:end] + clap(48, 32, 24, 16) + grown[end:]
    moved = len(clap(1, 1)) if data.index(b"moov") < data.index(b"mdat") else 0
    result = rendered(moved_chunks(grown, moved))
    assert (result.width, result.height) == (48, 32)
    assert corners(result) == (WHITE,) * 4


def moved_chunks(data: bytes, distance: int) -> bytes:
    """Return the file with the positions of its data, in `stco` and `iloc`, increased."""
    for kind, first in ((b"stco", 12), (b"iloc", None)):
        for match in re.finditer(kind, data):
            if first is not None:
                (count,) = struct.unpack_from(">I", data, match.start() + 8)
                for i in range(count):
                    position = match.start() + first + 4 * i
                    (offset,) = struct.unpack_from(">I", data, position)
                    data = data[:position] + struct.pack(">I", offset + distance) + data[position + 4 :]
    return data


def test_exif_orientation_of_an_avif_image_is_ignored():
    data = encoded(quadrants(), "AVIF", exif=exif(6))
    transposed = with_associations(data, without_transformations)
    assert corners(rendered(transposed)) == (RED, GREEN, BLUE, WHITE) != corners(rendered(data))


def without_transformations(items: Items) -> list[Associations]:
    associations = existing(items)
    kinds = [box.kind for box in items.by_id[items.primary].properties]
    associations[items.primary] = [
        value for value, kind in zip(associations[items.primary], kinds, strict=True) if kind not in (b"irot", b"imir")
    ]
    return [associations]


# Colors


@pytest.mark.parametrize("image_format", [*HEIF_FORMATS, "PNG"])
def test_display_p3_is_converted_to_srgb(image_format: str):
    image = Image.new("RGB", (64, 64), (219, 153, 129))
    if image_format == "AVIF":
        data = encoded(image, "AVIF", quality=100, subsampling="4:4:4")
        start = data.index(b"colrnclx") + 8
        data = data[:start] + struct.pack(">2H", 12, 13) + data[start + 4 :]
    elif image_format == "HEIC":
        buffer = io.BytesIO()
        pillow_heif.from_pillow(image).save(
            buffer, quality=-1, color_primaries=12, transfer_characteristics=13, chroma=444
        )
        data = buffer.getvalue()
    else:
        data = png_with(chunk(b"cICP", bytes([12, 13, 0, 1])), image=image)
    assert is_close(decoded(rendered(data).thumbnails[0]).getpixel((30, 30)), (231, 149, 124), tolerance=4)


def test_adobe_rgb_declared_by_exif_is_converted_to_srgb():
    data = exif(1)
    data.get_ifd(0x8769)[0xA001] = 65535
    data.get_ifd(0x8769)[0xA005] = {1: "R03"}
    image = Image.new("RGB", (64, 64), (211, 148, 124))
    for image_format, options in (("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True})):
        thumbnail = rendered(encoded(image, image_format, exif=data, **options)).thumbnails[0]
        assert is_close(decoded(thumbnail).getpixel((30, 30)), (231, 149, 124), tolerance=4)


def test_gamma_of_a_grayscale_png_is_applied():
    data = png_with(chunk(b"gAMA", struct.pack(">I", 100_000)), image=Image.new("L", (20, 20), 128))
    assert is_close(decoded(rendered(data).thumbnails[0]).convert("RGB").getpixel((9, 9)), (188,) * 3, tolerance=3)


def code_points(data: bytes) -> tuple[int, int] | None:
    items = read_items(data)
    return read_code_points(data, primary_properties(data, items), items)


def test_code_points_are_read_from_the_bitstream_if_the_container_has_none():
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture(64, 64)).save(buffer, color_primaries=12, transfer_characteristics=16)
    data = buffer.getvalue()
    assert code_points(data) == code_points(data.replace(b"colr", b"free")) == (12, 16)
    avif = encoded(picture(64, 64), "AVIF").replace(b"colr", b"free")
    assert code_points(avif) == (1, 13)


def test_properties_of_a_heic_image_take_precedence_over_its_bitstream():
    data = heic(picture(64, 64)).replace(b"colr", b"free")
    assert code_points(with_properties(data, nclx(9, 16))) == (9, 16)


# Animations


def test_animation_whose_default_image_is_no_frame_shows_its_first_frame():
    frames = [Image.new("RGB", (60, 40), color) for color in (WHITE, RED, GREEN)]
    data = encoded(frames[0], "PNG", save_all=True, default_image=True, append_images=frames[1:])
    assert is_close(decoded(rendered(data).thumbnails[0]).getpixel((30, 20)), RED)
    (fctl,) = list(re.finditer(b"fcTL", data))[:1]
    assert fctl.start() > data.index(b"IDAT")


# AVIF properties that libavif rejects


def avif_with_alpha() -> bytes:
    return encoded(halves("RGBA", (*RED, 255), (*BLUE, 0)), "AVIF", quality=100)


def without_alpha_size(items: Items) -> list[Associations]:
    associations = existing(items)
    for item_id, item in items.by_id.items():
        if item.auxiliary_of:
            associations[item_id] = [
                value for value, box in zip(associations[item_id], item.properties, strict=True) if box.kind != b"ispe"
            ]
    return [associations]


def one_table_for_each_item(items: Items) -> list[Associations]:
    return [{item_id: values} for item_id, values in existing(items).items()]


@pytest.mark.parametrize("change", [without_alpha_size, one_table_for_each_item])
def test_properties_that_early_encoders_wrote_are_accepted(change: Any):
    data = with_associations(avif_with_alpha(), change)
    with pytest.raises((SyntaxError, ValueError, OSError)):
        Image.open(io.BytesIO(data)).load()
    alpha = decoded(rendered(data).thumbnails[0]).getchannel("A")
    assert (alpha.getpixel((5, 20)), alpha.getpixel((35, 20))) == (255, 0)


# JPEG files without an end marker

JPEGS: dict[str, Callable[[], bytes]] = {
    "baseline": lambda: jpeg(320, 240),
    "progressive": lambda: jpeg(320, 240, progressive=True),
    "4:4:4": lambda: jpeg(321, 243, subsampling=0, quality=95),
    "large": lambda: jpeg(3000, 2000),
    "large progressive": lambda: jpeg(3000, 2000, progressive=True),
    "grayscale": lambda: encoded(picture(320, 240, mode="L"), "JPEG"),
    "CMYK": lambda: encoded(picture(320, 240, mode="CMYK"), "JPEG"),
    "restart markers": lambda: jpeg(320, 240, restart_marker_rows=2),
}
"""They are made when a test needs them, because each process of pytest imports this file."""
ONE_COLOR = encoded(Image.new("L", (640, 480), 128), "JPEG", optimize=True)


@pytest.fixture
def data(kind: str) -> bytes:
    return JPEGS[kind]()


@pytest.mark.parametrize("kind", JPEGS)
class TestJpegWithoutEndMarker:
    def test_complete_image_is_rendered(self, data: bytes):
        assert data.endswith(b"\xff\xd9")
        assert rendered(data[:-2]) == rendered(data)

    def test_space_after_the_image_is_ignored(self, data: bytes):
        assert rendered(data[:-2] + bytes(5000)) == rendered(data)

    @pytest.mark.parametrize("missing", [4, 5, 10, 30])
    def test_image_that_lacks_data_is_rejected(self, data: bytes, missing: int):
        assert is_corrupt(data[:-missing])

    @pytest.mark.parametrize("fraction", [0.5, 0.7, 0.9])
    def test_image_whose_end_is_zeroed_is_rejected(self, data: bytes, fraction: float):
        start = data.rindex(b"\xff\xda") + 20
        end = start + int((len(data) - start) * fraction)
        assert is_corrupt(data[:end] + bytes(len(data) - end))


def test_jpeg_of_one_color_may_end_with_zeros():
    assert not any(ONE_COLOR[-100:-2])
    assert rendered(ONE_COLOR[:-2]) == rendered(ONE_COLOR)


def test_area_of_one_color_at_the_end_of_a_jpeg_may_consist_of_zeros():
    image = Image.new("L", (640, 480), 128)
    image.paste(picture(640, 20, mode="L"))
    data = encoded(image, "JPEG", optimize=True)
    assert rendered(data[:-2]) == rendered(data)


def test_progressive_jpeg_that_ends_between_two_scans_is_rejected():
    data = JPEGS["progressive"]()
    scans = [match.start() for match in re.finditer(b"\xff\xda", data)]
    assert len(scans) > 5
    for scan in scans[1:]:
        # Huffman tables stand in front of a scan.
        assert is_corrupt(data[:scan])
        assert is_corrupt(data[: data.rindex(b"\xff\xc4", 0, scan)])


# Damage that decoders conceal


def zeroed(data: bytes, start: int, end: int, fraction: float) -> bytes:
    first = start + int((end - start) * fraction)
    return data[:first] + bytes(end - first) + data[end:]


@functools.cache
def heic_in_tiles(tile_size: int) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture(900, 600)).save(buffer, tile_size=tile_size)
    return buffer.getvalue()


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("tile_size", [0, 256])
def test_heic_with_zeroed_data_is_rejected(fraction: float, tile_size: int):
    data = heic_in_tiles(tile_size)
    assert not is_corrupt(data)
    assert is_corrupt(zeroed(data, data.index(b"mdat") + 12, len(data), fraction))
    assert is_corrupt(zeroed(data, data.index(b"mdat") + 12, len(data) - 100, fraction))


def test_heic_truncated_in_a_box_of_undeclared_size_is_rejected():
    data = heic(picture(900, 600))
    start = data.index(b"mdat") - 4
    assert start + int.from_bytes(data[start : start + 4], "big") == len(data)
    data = data[:start] + bytes(4) + data[start + 4 :]
    assert not is_corrupt(data)
    for fraction in (0.5, 0.9, 0.99):
        assert is_corrupt(data[: int(len(data) * fraction)])


def noise(mode: str = "RGB") -> Image.Image:
    return Image.effect_noise((640, 480), 80).convert(mode)


def noise_with_alpha() -> Image.Image:
    image = noise("RGBA")
    image.putalpha(Image.effect_noise((640, 480), 80))
    return image


WEBPS: dict[str, Callable[[], bytes]] = {
    "lossy": lambda: encoded(picture(640, 480), "WEBP"),
    "lossy noise": lambda: encoded(noise(), "WEBP", quality=95),
    "lossless noise": lambda: encoded(noise(), "WEBP", lossless=True),
    "alpha": lambda: encoded(noise_with_alpha(), "WEBP"),
    "animation": lambda: encoded(noise(), "WEBP", save_all=True, append_images=[picture(640, 480)]),
}


@functools.cache
def webp(kind: str) -> bytes:
    return WEBPS[kind]()


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("kind", WEBPS)
def test_webp_with_zeroed_data_is_rejected(kind: str, fraction: float):
    data = webp(kind)
    assert not is_corrupt(data)
    # Only the first frame of an animation is decoded, and the second begins at 0.95.
    assert is_corrupt(zeroed(data, 0, len(data), fraction)) or (kind == "animation" and fraction > 0.95)
    for match in re.finditer(b"VP8[ L]|ALPH", data):
        start = match.end() + 4
        end = start + struct.unpack_from("<I", data, match.end())[0]
        assert is_corrupt(zeroed(data, start, end, fraction))
        if kind == "animation":
            break


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (200, 30, 40)])
@pytest.mark.parametrize("options", [{}, {"quality": 100}, {"method": 0}, {"lossless": True}], ids=str)
def test_webp_of_one_color_may_end_with_zeros(color: tuple[int, int, int], options: dict[str, Any]):
    for size in ((1, 1), (640, 480), (1500, 1000)):
        assert not is_corrupt(encoded(Image.new("RGB", size, color), "WEBP", **options))


def test_webp_with_a_raw_alpha_channel_that_ends_with_zeros_is_rendered():
    image = picture(64, 64, mode="RGBA")
    image.paste((0, 0, 0, 0), (0, 32, 64, 64))
    data = encoded(image, "WEBP")
    start = data.index(b"ALPH")
    size = struct.unpack_from("<I", data, start + 4)[0]
    alpha = b"\0" + image.getchannel("A").tobytes()
    raw = b"ALPH" + struct.pack("<I", len(alpha)) + alpha + bytes(len(alpha) % 2)
    body = data[12:start] + raw + data[start + 8 + size + size % 2 :]
    result = rendered(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body)
    assert decoded(result.thumbnails[0]).getchannel("A").getextrema() == (0, 255)
