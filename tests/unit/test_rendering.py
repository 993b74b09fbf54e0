"""Tests of rendering in the current process, with generated images: errors, image sizes and thumbnails."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from base64 import b64decode
from typing import Any

import pillow_heif
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from app.domain.errors import AppError, FileEmpty, FormatUnsupported, ImageCorrupt, ImageTooExpensive, ImageTooLarge
from app.domain.formats import PNG, WEBP
from app.domain.renderings import RenderedThumbnail, Rendering
from app.imaging import opening, rendering
from app.imaging.options import RenderLimits, RenderOptions
from app.imaging.rendering import render
from tests.pictures import encoded, jpeg, picture, transparent_png

ORIENTATION = 0x0112
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def rendered(data: bytes, **options: Any) -> Rendering:
    return render(io.BytesIO(data), RenderOptions(**options))


def limited(data: bytes, **limits: int) -> Rendering:
    return rendered(data, limits=RenderLimits(**limits))


def decoded(thumbnail: RenderedThumbnail) -> Image.Image:
    image = Image.open(io.BytesIO(thumbnail.data))
    image.load()
    return image


def heic(image: Image.Image, *, exif: Image.Exif | None = None, **options: Any) -> bytes:
    """Return a HEIC file. An orientation in `exif` is also written into the container, as cameras do."""
    buffer = io.BytesIO()
    file = pillow_heif.from_pillow(image)
    file[0].info["exif"] = exif.tobytes() if exif else None
    file.save(buffer, **options)
    return buffer.getvalue()


def encoded_as(image: Image.Image, name: str) -> bytes:
    if name == "HEIC":
        return heic(image)
    return encoded(image, name, **({"speed": 10} if name == "AVIF" else {}))


@functools.cache
def encoded_picture(name: str) -> bytes:
    return encoded_as(picture(900, 600), name)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks: bytes, image: Image.Image | None = None) -> bytes:
    """Return a PNG file with `chunks` directly after its header."""
    data = encoded(image or picture(20, 20), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def is_close(a: Any, b: tuple[int, ...], *, tolerance: int = 12) -> bool:
    return all(abs(x - y) <= tolerance for x, y in zip(a, b, strict=True))


FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIC"]
ANIMATED = ["GIF", "PNG", "WEBP", "AVIF"]


# Sizes


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_is_rendered(image_format: str):
    result = rendered(encoded_as(picture(640, 480), image_format))
    assert (result.width, result.height) == (640, 480)
    assert result.content_type == f"image/{image_format.lower()}"
    assert [(t.size, t.width, t.height) for t in result.thumbnails] == [
        (200, 200, 150),
        (500, 500, 375),
        (800, 640, 480),
    ]
    assert [decoded(t).size for t in result.thumbnails] == [(200, 150), (500, 375), (640, 480)]


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("orientation", [1, 6])
def test_reading_only_the_header_returns_the_same_format_and_size_as_a_rendering(image_format: str, orientation: int):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = picture(640, 480)
    if image_format == "HEIC":
        data = heic(image, exif=exif)
    elif image_format == "GIF":
        data = encoded(image, "GIF")
    else:
        data = encoded(image, image_format, exif=exif, **({"speed": 10} if image_format == "AVIF" else {}))
    full, header = rendered(data), rendered(data, sizes=())
    assert (header.content_type, header.width, header.height) == (full.content_type, full.width, full.height)
    assert (header.placeholder, header.thumbnails) == (None, ())


def test_reading_only_the_header_decodes_no_pixels(monkeypatch: pytest.MonkeyPatch):
    data = jpeg()
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", lambda _: pytest.fail("decoded"))
    assert rendered(data, sizes=()).width == 640


def test_limits_apply_when_only_the_header_is_read():
    with pytest.raises(ImageTooLarge):
        rendered(jpeg(), sizes=(), limits=RenderLimits(max_pixels=1000))


def test_file_position_is_ignored():
    file = io.BytesIO(jpeg())
    file.seek(0, io.SEEK_END)
    assert render(file, RenderOptions()).width == 640


def test_thumbnails_have_the_requested_order():
    assert [t.size for t in rendered(jpeg(), sizes=(300, 100, 200)).thumbnails] == [300, 100, 200]


def test_small_image_is_not_enlarged():
    result = rendered(jpeg(120, 90))
    assert [(t.width, t.height) for t in result.thumbnails] == [(120, 90)] * 3


def test_thumbnails_of_equal_size_share_their_bytes():
    first, *rest = rendered(jpeg(120, 90)).thumbnails
    assert all(t.data is first.data for t in rest)


@pytest.mark.parametrize("width, height", [(4000, 2), (2, 4000)])
def test_each_side_has_at_least_one_pixel(width: int, height: int):
    for thumbnail in rendered(jpeg(width, height)).thumbnails:
        assert sorted(decoded(thumbnail).size) == [1, thumbnail.size]


@pytest.mark.parametrize("width, height", [(1600, 1201), (1999, 777), (3001, 2003)])
def test_reduction_in_the_jpeg_decoder_does_not_shift_the_image(width: int, height: int):
    image = picture(width, height)
    thumbnail = rendered(encoded(image, "JPEG", quality=95)).thumbnails[-1]
    expected = image.resize((thumbnail.width, thumbnail.height), Image.Resampling.LANCZOS)
    differences = [abs(a - b) for a, b in zip(decoded(thumbnail).tobytes(), expected.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 2.5


def test_edge_keeps_its_position_if_the_width_is_not_divisible_by_eight():
    image = Image.new("L", (8001, 16))
    image.paste(255, (7900, 0, 8001, 16))
    (thumbnail,) = rendered(encoded(image, "JPEG", quality=95), sizes=(800,)).thumbnails
    expected = image.resize((800, 2), Image.Resampling.BOX)
    for x in (788, 789, 790):
        assert decoded(thumbnail).getpixel((x, 0)) == pytest.approx(expected.getpixel((x, 0)), abs=30)


# Rejected files


def test_empty_file_is_rejected():
    with pytest.raises(FileEmpty):
        rendered(b"")


def test_unsupported_format_error_names_the_detected_and_the_allowed_formats():
    with pytest.raises(FormatUnsupported, match=r"TIFF image\..* JPEG, PNG\."):
        rendered(encoded(picture(8, 8), "TIFF"), allowed_content_types=frozenset({"image/png", "image/jpeg"}))


def test_disabled_format_is_rejected():
    with pytest.raises(FormatUnsupported, match="GIF image"):
        rendered(encoded(picture(8, 8), "GIF"), allowed_content_types=frozenset({"image/png"}))


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9, 0.99])
def test_truncated_file_is_rejected(image_format: str, fraction: float):
    data = encoded_picture(image_format)
    with pytest.raises(ImageCorrupt):
        rendered(data[: int(len(data) * fraction)])


@pytest.mark.parametrize("progressive", [False, True])
def test_large_jpeg_without_its_end_is_rejected(*, progressive: bool):
    data = jpeg(4000, 3000, progressive=progressive)
    with pytest.raises(ImageCorrupt):
        rendered(data[:-200])


@pytest.mark.parametrize("image_format", ANIMATED)
def test_animation_truncated_in_a_later_frame_is_rejected(image_format: str):
    data = animation(image_format, 5)
    with pytest.raises(ImageCorrupt):
        rendered(data[: int(len(data) * 0.7)])


@pytest.mark.parametrize(
    "error",
    [
        OSError,
        ValueError,
        SyntaxError,
        RuntimeError,
        IndexError,
        OverflowError,
        EOFError,
        NotImplementedError,
        AttributeError,
        ZeroDivisionError,
        struct.error,
        zlib.error,
    ],
)
def test_any_exception_of_a_decoder_means_that_the_image_is_corrupt(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
):
    assert error_if_decoder_raises(error(), monkeypatch) is ImageCorrupt


def test_image_is_too_expensive_if_its_decoder_runs_out_of_memory(monkeypatch: pytest.MonkeyPatch):
    assert error_if_decoder_raises(MemoryError(), monkeypatch) is ImageTooExpensive


def test_decompression_bomb_that_pillow_detects_is_too_large(monkeypatch: pytest.MonkeyPatch):
    assert error_if_decoder_raises(Image.DecompressionBombError(), monkeypatch) is ImageTooLarge


def error_if_decoder_raises(error: Exception, monkeypatch: pytest.MonkeyPatch) -> type[AppError]:
    def decoder(_: object) -> Image.Image:
        raise error

    monkeypatch.setitem(opening.OPENERS, PNG, decoder)
    with pytest.raises(AppError) as raised:
        rendered(encoded(picture(8, 8), "PNG"))
    return type(raised.value)


def test_bug_in_the_renderer_is_not_reported_as_a_corrupt_image(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> bytes:
        raise ValueError("bug")

    monkeypatch.setattr(rendering, "_encode", broken)
    with pytest.raises(ValueError, match="bug"):
        rendered(jpeg())


@pytest.mark.parametrize("content", [zlib.compress(bytes(50_000_000)), zlib.compress(bytes(99))[:-5], b"damaged"])
@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_large_or_damaged_metadata_in_a_png_is_ignored(kind: bytes, content: bytes):
    prefix = {b"zTXt": b"\x00", b"iTXt": b"\x01\x00\x00\x00", b"iCCP": b"\x00"}[kind]
    result = rendered(png_with(chunk(kind, b"key\x00" + prefix + content)))
    assert result.thumbnails == rendered(png_with()).thumbnails


def test_many_texts_in_a_png_are_ignored():
    text = chunk(b"zTXt", b"key\x00\x00" + zlib.compress(bytes(1_000_000)))
    assert rendered(png_with(text * 100)).width == 20


def test_png_with_a_wrong_checksum_in_its_metadata_is_rendered():
    damaged = [chunk(kind, b"data")[:-1] + b"?" for kind in (b"tEXt", b"gAMA", b"eXIf", b"iCCP")]
    assert rendered(png_with(*damaged)).width == 20


def test_heic_truncated_after_its_primary_image_is_rejected():
    buffer = io.BytesIO()
    file = pillow_heif.from_pillow(picture(64, 48))
    file.add_from_pillow(picture(80, 60))
    file.save(buffer, primary_index=0)
    assert rendered(buffer.getvalue()).width == 64
    with pytest.raises(ImageCorrupt):
        rendered(buffer.getvalue()[:-1])


# Limits


@pytest.mark.parametrize("image_format", FORMATS)
def test_limits_per_frame(image_format: str):
    data = encoded_as(picture(100, 64), image_format)
    limited(data, max_pixels=6400, max_side=100, max_total_pixels=6400)
    with pytest.raises(ImageTooLarge, match="100 x 64 pixels, 6,400 in total; the limit is 6,399 in total"):
        limited(data, max_pixels=6399)
    with pytest.raises(ImageTooLarge, match="100 x 64 pixels; the limit is 99 pixels per side"):
        limited(data, max_side=99)


def animation(image_format: str, frames: int) -> bytes:
    colors = [RED, GREEN, BLUE, (255, 255, 0), (0, 255, 255)]
    images = [Image.new("RGB", (60, 40), colors[i % len(colors)]) for i in range(frames)]
    return encoded(images[0], image_format, save_all=True, append_images=images[1:], duration=100)


@pytest.mark.parametrize("image_format", ANIMATED)
def test_limits_on_all_frames_together(image_format: str):
    data = animation(image_format, 5)
    limited(data, max_frames=5, max_total_pixels=12_000)
    with pytest.raises(ImageTooLarge, match="too many frames; the limit is 4"):
        limited(data, max_frames=4)
    with pytest.raises(ImageTooLarge, match="12,000 pixels in 5 frames; the limit is 11,999 pixels"):
        limited(data, max_total_pixels=11_999)


def test_size_is_checked_before_pixels_are_decoded():
    data = encoded(picture(20, 20), "PNG")
    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 6, 0, 0, 0)
    with pytest.raises(ImageTooLarge, match="200,000 x 200,000"):
        rendered(data[:8] + chunk(b"IHDR", header) + data[33:])


def test_webp_canvas_size_is_checked_before_the_canvas_is_allocated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(opening.OPENERS, WEBP)
    with pytest.raises(ImageTooLarge):
        limited(encoded(picture(64, 64), "WEBP"), max_side=63)


def test_additional_images_in_an_mpo_file_do_not_count_as_frames():
    image = picture(60, 40)
    mpo = encoded(image, "MPO", save_all=True, append_images=[image] * 5)
    assert limited(mpo, max_frames=1).content_type == "image/jpeg"


@pytest.mark.parametrize("image_format", ANIMATED)
def test_thumbnail_shows_the_first_frame_of_an_animation(image_format: str):
    thumbnail = rendered(animation(image_format, 3)).thumbnails[0]
    assert is_close(decoded(thumbnail).convert("RGB").getpixel((30, 20)), RED)


# Orientation


def quadrants() -> Image.Image:
    """Return red and green above blue and white, so that every rotation and reflection is different."""
    image = Image.new("RGB", (96, 64), WHITE)
    for color, corner in ((RED, (0, 0)), (GREEN, (48, 0)), (BLUE, (0, 32))):
        image.paste(color, (*corner, corner[0] + 48, corner[1] + 32))
    return image


UPRIGHT = {
    1: (RED, GREEN, BLUE, WHITE),
    2: (GREEN, RED, WHITE, BLUE),
    3: (WHITE, BLUE, GREEN, RED),
    4: (BLUE, WHITE, RED, GREEN),
    5: (RED, BLUE, GREEN, WHITE),
    6: (BLUE, RED, WHITE, GREEN),
    7: (WHITE, GREEN, BLUE, RED),
    8: (GREEN, WHITE, RED, BLUE),
}


def corners(result: Rendering) -> tuple[tuple[int, int, int], ...]:
    image = decoded(result.thumbnails[0]).convert("RGB")
    w, h = image.size
    pixels = [image.getpixel((x, y)) for y in (h // 4, h * 3 // 4) for x in (w // 4, w * 3 // 4)]
    return tuple(
        min((RED, GREEN, BLUE, WHITE), key=lambda c: 0 if is_close(pixel, c, tolerance=60) else 1) for pixel in pixels
    )


def exif(orientation: Any) -> Image.Exif:
    data = Image.Exif()
    data[ORIENTATION] = orientation
    return data


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIC"])
def test_thumbnail_is_upright(image_format: str, orientation: int):
    image = quadrants()
    data = (
        heic(image, exif=exif(orientation))
        if image_format == "HEIC"
        else encoded(image, image_format, exif=exif(orientation))
    )
    result = rendered(data, sizes=(48,))
    swapped = orientation >= 5
    assert (result.width, result.height) == ((64, 96) if swapped else (96, 64))
    assert decoded(result.thumbnails[0]).size == ((32, 48) if swapped else (48, 32))
    assert corners(result) == UPRIGHT[orientation]


def test_orientation_stored_after_the_pixels_is_applied():
    data = encoded(quadrants(), "PNG", exif=exif(6))
    start = data.index(b"eXIf") - 4
    end = start + 12 + struct.unpack_from(">I", data, start)[0]
    assert corners(rendered(data[:start] + data[end:-12] + data[start:end] + data[-12:])) == UPRIGHT[6]


def test_orientation_of_a_large_jpeg_is_applied():
    result = rendered(encoded(quadrants().resize((4800, 3200)), "JPEG", exif=exif(6)))
    assert (result.width, result.height) == (3200, 4800)
    assert [(t.width, t.height) for t in result.thumbnails] == [(133, 200), (333, 500), (533, 800)]
    assert corners(result) == UPRIGHT[6]


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_undefined_orientation_is_ignored(orientation: int):
    assert corners(rendered(encoded(quadrants(), "JPEG", exif=exif(orientation)))) == UPRIGHT[1]


def test_orientation_of_type_text_is_ignored():
    tag = struct.pack("<HHI4s", ORIENTATION, 2, 4, b"<?=\0")
    exif_data = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tag + bytes(4)
    data = encoded(quadrants(), "JPEG", exif=exif_data)
    assert Image.open(io.BytesIO(data)).getexif()[ORIENTATION] == "<?="
    assert corners(rendered(data)) == UPRIGHT[1]


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "AVIF"])
def test_orientation_in_xmp_is_ignored(image_format: str):
    assert corners(rendered(encoded(quadrants(), image_format, xmp=XMP))) == UPRIGHT[1]


def test_orientation_in_xmp_of_a_png_is_ignored():
    text = chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + XMP)
    assert corners(rendered(png_with(text, image=quadrants()))) == UPRIGHT[1]


@pytest.mark.parametrize("malformed", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_malformed_exif_data_is_ignored(malformed: bytes):
    assert corners(rendered(encoded(quadrants(), "JPEG", exif=malformed))) == UPRIGHT[1]


# Color


def red_green_swapped_profile() -> bytes:
    """Return an sRGB profile with its red and green primaries swapped."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for i in range(132, 132 + 12 * struct.unpack_from(">I", profile, 128)[0], 12):
        for tag in (b"XYZ", b"TRC"):
            if bytes(profile[i + 1 : i + 4]) == tag and chr(profile[i]) in "rg":
                profile[i] = ord("g" if chr(profile[i]) == "r" else "r")
    return bytes(profile)


def linear_grayscale_profile() -> bytes:
    """Return a grayscale ICC profile with a linear tone curve."""
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv" + bytes(8)
    tags = struct.pack(">I", 2) + b"wtpt" + struct.pack(">II", 156, 20) + b"kTRC" + struct.pack(">II", 176, 12)
    header = b"\0\0\0\0lcms\x02\x10\0\0mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    body = header + tags + white + curve
    return struct.pack(">I", len(body)) + body[4:]


def test_colors_are_converted_to_srgb():
    data = encoded(Image.new("RGB", (900, 600), RED), "JPEG", icc_profile=red_green_swapped_profile())
    for thumbnail in rendered(data).thumbnails:
        assert is_close(decoded(thumbnail).getpixel((10, 10)), GREEN)


def test_colors_of_a_transparent_image_are_converted():
    image = Image.new("RGBA", (40, 40), (*RED, 100))
    result = decoded(rendered(encoded(image, "PNG", icc_profile=red_green_swapped_profile())).thumbnails[0])
    assert is_close(result.getpixel((10, 10)), (*GREEN, 100), tolerance=16)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grayscale_profile_is_applied(mode: str):
    data = encoded(
        Image.new(mode, (40, 40), 128 if mode == "L" else (128, 90)), "PNG", icc_profile=linear_grayscale_profile()
    )
    result = decoded(rendered(data).thumbnails[0]).convert("RGBA")
    assert is_close(result.getpixel((10, 10)), (188, 188, 188, 255 if mode == "L" else 90), tolerance=4)


@pytest.mark.parametrize("profile", [b"not a profile", red_green_swapped_profile()[:200], linear_grayscale_profile()])
def test_damaged_profile_or_profile_of_another_color_model_is_ignored(profile: bytes):
    data = encoded(Image.new("RGB", (40, 40), RED), "JPEG", icc_profile=profile)
    assert is_close(decoded(rendered(data).thumbnails[0]).getpixel((10, 10)), RED)


def test_cmyk_is_not_inverted():
    data = encoded(Image.new("RGB", (1200, 800), (200, 30, 40)).convert("CMYK"), "JPEG")
    image = decoded(rendered(data).thumbnails[0])
    assert image.mode == "RGB"
    assert is_close(image.getpixel((10, 10)), (200, 30, 40))


@pytest.mark.parametrize(
    "image, expected",
    [
        (Image.new("1", (30, 30), 1), (255, 255, 255)),
        (Image.new("L", (30, 30), 77), (77, 77, 77)),
        (Image.new("I;16", (30, 30), 0x4D4D), (77, 77, 77)),
        (Image.new("RGB", (30, 30), (10, 200, 30)).quantize(4), (10, 200, 30)),
        (Image.new("RGBA", (30, 30), (10, 200, 30, 255)), (10, 200, 30)),
        (Image.new("LA", (30, 30), (77, 255)), (77, 77, 77)),
    ],
    ids=["1", "L", "I;16", "P", "RGBA", "LA"],
)
def test_every_png_mode_keeps_its_colors(image: Image.Image, expected: tuple[int, ...]):
    (thumbnail, *_) = rendered(encoded(image, "PNG")).thumbnails
    assert thumbnail.content_type == "image/jpeg"
    assert is_close(decoded(thumbnail).convert("RGB").getpixel((10, 10)), expected, tolerance=4)


# Transparency


def halves(mode: str, left: Any, right: Any) -> Image.Image:
    image = Image.new(mode, (40, 40), left)
    image.paste(right, (20, 0, 40, 40))
    return image


def grayscale_16_bit_with_color_key() -> bytes:
    rows = (struct.pack("<H", 0x5A01) * 20 + struct.pack("<H", 0x5A02) * 20) * 40
    return encoded(Image.frombytes("I;16", (40, 40), rows), "PNG", transparency=0x5A02)


def palette_with_alpha() -> bytes:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (20, 0, 40, 40))
    return encoded(image, "PNG", transparency=bytes([255, 0]))


@pytest.mark.parametrize(
    "data",
    [
        encoded(halves("RGBA", (*RED, 255), (*BLUE, 0)), "PNG"),
        encoded(halves("LA", (90, 255), (200, 0)), "PNG"),
        encoded(halves("1", 1, 0), "PNG", transparency=0),
        encoded(halves("L", 90, 200), "PNG", transparency=200),
        grayscale_16_bit_with_color_key(),
        encoded(halves("RGB", RED, BLUE), "PNG", transparency=BLUE),
        palette_with_alpha(),
        encoded(halves("RGBA", (*RED, 255), (*BLUE, 0)), "WEBP", lossless=True),
        encoded(halves("RGBA", (*RED, 255), (*BLUE, 0)), "GIF"),
        encoded(halves("RGBA", (*RED, 255), (*BLUE, 0)), "AVIF", quality=100),
        heic(halves("RGBA", (*RED, 255), (*BLUE, 0)), quality=-1),
    ],
    ids=[
        "RGBA",
        "LA",
        "1 color key",
        "L color key",
        "I;16 color key",
        "RGB color key",
        "P alpha",
        "WebP",
        "GIF",
        "AVIF",
        "HEIC",
    ],
)
def test_transparency_is_preserved(data: bytes):
    (thumbnail, *_) = rendered(data).thumbnails
    assert thumbnail.content_type == "image/webp"
    alpha = decoded(thumbnail).getchannel("A")
    assert (alpha.getpixel((5, 20)), alpha.getpixel((35, 20))) == (255, 0)


def test_thumbnail_format_can_be_forced():
    opaque, transparent = jpeg(), transparent_png()
    for data in (opaque, transparent):
        assert {t.content_type for t in rendered(data, thumbnail_format="webp").thumbnails} == {"image/webp"}
        assert {t.content_type for t in rendered(data, thumbnail_format="jpeg").thumbnails} == {"image/jpeg"}
        assert {t.content_type for t in rendered(data, thumbnail_format="avif").thumbnails} == {"image/avif"}


def test_transparent_image_has_a_white_background_in_a_forced_jpeg():
    data = encoded(halves("RGBA", (*RED, 255), (0, 0, 0, 0)), "PNG")
    image = decoded(rendered(data, thumbnail_format="jpeg").thumbnails[0])
    assert is_close(image.getpixel((5, 20)), RED)
    assert is_close(image.getpixel((35, 20)), WHITE)


def test_transparent_edges_have_no_dark_fringe():
    image = Image.new("RGBA", (1000, 1000), (0, 0, 0, 0))
    for x in range(0, 1000, 7):
        image.paste((*RED, 255), (x, 0, x + 3, 1000))
    result = decoded(rendered(encoded(image, "PNG"), sizes=(100,)).thumbnails[0])
    pixels = result.tobytes()
    assert all(red > 235 for red, alpha in zip(pixels[::4], pixels[3::4], strict=True) if alpha > 60)


# Metadata and placeholder


def with_secret_metadata(image_format: str) -> bytes:
    image = picture(60, 40, mode="RGBA")
    image.putpixel((0, 0), (0, 0, 0, 0))
    profile = red_green_swapped_profile()[:-6] + b"SECRET"
    if image_format == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "SECRET")
        return encoded(image, "PNG", pnginfo=text, exif=secret_exif(), icc_profile=profile)
    if image_format == "JPEG":
        return encoded(
            image.convert("RGB"), "JPEG", exif=secret_exif(), comment=b"SECRET", xmp=b"SECRET", icc_profile=profile
        )
    return encoded(image, image_format, exif=secret_exif(), xmp=b"SECRET", icc_profile=profile)


def secret_exif() -> Image.Exif:
    data = exif(6)
    data[0x010E] = "SECRET"
    data.get_ifd(0x8825)[1] = "N"
    return data


@pytest.mark.parametrize("thumbnail_format", ["auto", "avif", "webp", "jpeg"])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_thumbnails_have_no_metadata(image_format: str, thumbnail_format: str):
    data = with_secret_metadata(image_format)
    assert b"SECRET" in data
    for thumbnail in rendered(data, thumbnail_format=thumbnail_format).thumbnails:
        assert b"SECRET" not in thumbnail.data
        assert not {"exif", "xmp", "icc_profile", "comment"} & set(decoded(thumbnail).info)
        assert len(decoded(thumbnail).getexif()) == 0


def test_thumbnails_have_no_comment():
    data = encoded(picture(40, 30), "JPEG", comment=b"SECRET")
    assert all(b"SECRET" not in thumbnail.data for thumbnail in rendered(data).thumbnails)


def has_alpha(placeholder: str | None) -> bool:
    assert placeholder
    return bool(b64decode(placeholder)[2] & 0x80)


def test_placeholder_has_alpha_only_for_transparent_images():
    assert has_alpha(rendered(transparent_png()).placeholder)
    assert not has_alpha(rendered(jpeg()).placeholder)


def test_placeholder_shows_the_upright_image():
    upright = rendered(encoded(quadrants().transpose(Image.Transpose.ROTATE_270), "PNG")).placeholder
    assert rendered(encoded(quadrants(), "PNG", exif=exif(6))).placeholder == upright
    assert rendered(encoded(quadrants(), "PNG")).placeholder != upright
