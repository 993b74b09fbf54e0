"""Validates an image and renders its thumbnails with Pillow, in the current process.

A malformed image can still cost minutes, gigabytes or the whole process while its decoder runs. This module sets no
limits on time and memory: the render pool runs it in a separate process that has them.
"""

from __future__ import annotations

import io
import warnings
from base64 import b64encode
from collections.abc import Callable
from typing import BinaryIO

import pillow_heif
from PIL import AvifImagePlugin, ExifTags, Image
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.domain.errors import AppError, FileEmpty, ImageCorrupt, ImageTooExpensive, ImageTooLarge
from app.domain.formats import AVIF, GIF, HEIC, HEIF, JPEG, PNG, SNIFF_BYTES, WEBP, ImageFormat, require_format
from app.domain.renderings import RenderedThumbnail, Rendering
from app.imaging.color import is_grayscale, to_resizable_mode, to_srgb
from app.imaging.headers import (
    check_iso_boxes_are_complete,
    check_png_is_complete,
    read_gif_extent,
    read_webp_canvas_size,
)
from app.imaging.options import RenderLimits, RenderOptions
from app.imaging.thumbhash import LONGEST_SIDE, thumbhash

_OPENERS: dict[ImageFormat, Callable[[BinaryIO], Image.Image]] = {
    JPEG: JpegImageFile,  # An MPO file is a sequence of JPEGs; this opens the first.
    PNG: PngImageFile,
    GIF: GifImageFile,
    WEBP: WebPImageFile,
    AVIF: AvifImagePlugin.AvifImageFile,
    HEIC: pillow_heif.HeifImageFile,
    HEIF: pillow_heif.HeifImageFile,
}

_TRANSPOSITIONS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = {_TRANSPOSITIONS[orientation] for orientation in (5, 6, 7, 8)}

_DRAFT_GAP = 1.25
_REDUCING_GAP = 1.5
"""How many times larger than its target an image remains after the first, integer-factor reduction.

A smaller gap is faster, and the result is softer.
"""


def prepare() -> None:
    """Prepare this process for rendering images and for nothing else."""
    # Threads cost address space, which is limited, and gain nothing because there is one process per core.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    pillow_heif.options.DECODE_THREADS = 1
    # Pillow imports rarely used modules on first use, when the process may no longer be allowed to open files.
    sample = Image.new("RGB", (1, 1))
    exif = sample.getexif()
    exif[ExifTags.Base.Orientation] = 6
    for image_format, options in (("JPEG", {"exif": exif}), ("PNG", {}), ("GIF", {}), ("WEBP", {})):
        output = io.BytesIO()
        sample.save(output, image_format, **options)
        render(output, RenderOptions())


def render(file: BinaryIO, options: RenderOptions) -> Rendering:
    """Validate the image in `file`, which is read from its beginning, and render its thumbnails.

    Raises FileEmpty, FormatUnsupported, ImageCorrupt, ImageTooLarge, and ImageTooExpensive if memory runs out.
    """
    file.seek(0)
    data = file.read()
    if not data:
        raise FileEmpty
    image_format = require_format(data[:SNIFF_BYTES], options.allowed_content_types)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = _open(data, image_format, options.limits)
            if not options.sizes:
                width, height = _upright_size(image, image_format)
                return Rendering(image_format.content_type, width, height, placeholder=None, thumbnails=())
            width, height, largest = _decode(image, image_format, options)
    except AppError:
        raise
    except MemoryError as error:
        raise ImageTooExpensive from error
    except Image.DecompressionBombError as error:
        raise ImageTooLarge from error
    except Exception as error:  # Decoders raise nearly every built-in exception for malformed data.
        raise ImageCorrupt from error
    images = _scale(largest, (width, height), options.sizes)
    return Rendering(
        content_type=image_format.content_type,
        width=width,
        height=height,
        placeholder=_placeholder(min(images.values(), key=lambda image: image.size)),
        thumbnails=_thumbnails(images, (width, height), options),
    )


def _open(data: bytes, image_format: ImageFormat, limits: RenderLimits) -> Image.Image:
    """Return the image with its header checked and no pixel decoded."""
    _check_container(data, image_format, limits)
    image = _OPENERS[image_format](io.BytesIO(data))
    _check_size(*image.size, limits)
    _check_frames(_count_frames(image, image_format), image.width * image.height, limits)
    return image


def _upright_size(image: Image.Image, image_format: ImageFormat) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _transposition(image, image_format) in _SWAPS_SIDES else (width, height)


def _decode(image: Image.Image, image_format: ImageFormat, options: RenderOptions) -> tuple[int, int, Image.Image]:
    """Return the width and height of the upright image, and its largest thumbnail in sRGB as L, RGB or RGBA."""
    full_size, longest = image.size, max(options.sizes)
    box = _draft(image, _fit(full_size, longest)) if image_format is JPEG else None
    image.load()
    if image_format in (HEIC, HEIF):
        # The size is certain only after decoding: the header that was checked may declare another.
        _check_size(*image.size, options.limits)
        full_size = image.size
    transposition = _transposition(image, image_format)
    icc_profile = image.info.get("icc_profile")
    was_grayscale = is_grayscale(image)
    image = to_resizable_mode(image)
    image = image.resize(_fit(full_size, longest), Image.Resampling.LANCZOS, box, _REDUCING_GAP)
    image = to_srgb(image, icc_profile, was_grayscale=was_grayscale)
    if transposition is not None:
        image = image.transpose(transposition)
    width, height = full_size[::-1] if transposition in _SWAPS_SIDES else full_size
    # `info` holds comments, EXIF data and profiles, and some encoders would write them into the thumbnails.
    image.info = {}
    return width, height, image


def _check_container(data: bytes, image_format: ImageFormat, limits: RenderLimits) -> None:
    """Run the checks that the decoder of the first frame performs too late or not at all."""
    if image_format is PNG:
        check_png_is_complete(data)
    elif image_format is WEBP:
        _check_size(*read_webp_canvas_size(data), limits)
    elif image_format is GIF:
        extent = read_gif_extent(data, max_frames=limits.max_frames)
        _check_size(extent.width, extent.height, limits)
        _check_frames(extent.frames, extent.width * extent.height, limits)
    elif image_format in (HEIC, HEIF, AVIF):
        check_iso_boxes_are_complete(data)


def _check_frames(frames: int, pixels_per_frame: int, limits: RenderLimits) -> None:
    if frames > limits.max_frames:
        raise ImageTooLarge(f"The image has too many frames; the limit is {limits.max_frames:,}. Upload a shorter one.")
    total = frames * pixels_per_frame
    if total > limits.max_total_pixels:
        raise ImageTooLarge(
            f"The image has {total:,} pixels in {frames:,} frames; the limit is {limits.max_total_pixels:,} pixels. "
            "Upload a smaller or shorter one."
        )


def _check_size(width: int, height: int, limits: RenderLimits) -> None:
    if max(width, height) > limits.max_side:
        raise ImageTooLarge(
            f"The image is {width:,} x {height:,} pixels; the limit is {limits.max_side:,} pixels per side. "
            "Upload a smaller one."
        )
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"The image is {width:,} x {height:,} pixels, {width * height:,} in total; "
            f"the limit is {limits.max_pixels:,} in total. Upload a smaller one."
        )


def _count_frames(image: Image.Image, image_format: ImageFormat) -> int:
    # GIF frames are counted before, because Pillow would read the whole file one byte at a time. The additional images
    # in camera files are gain maps, depth maps, previews and bursts, which are never displayed and never decoded.
    return getattr(image, "n_frames", 1) if image_format in (PNG, WEBP, AVIF) else 1


def _draft(image: Image.Image, target: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Configure the JPEG decoder to shrink the image while it decodes; return the box of its output to use."""
    width, height = (int(side * _DRAFT_GAP) for side in target)
    drafted = image.draft(None, (width, height))
    return drafted[1] if drafted else None


def _transposition(image: Image.Image, image_format: ImageFormat) -> Image.Transpose | None:
    """Return the transposition that makes the image upright, or None.

    pillow_heif returns HEIC images upright and resets the orientation in their EXIF data.
    """
    if image_format is AVIF:
        # The `irot` and `imir` boxes, which Pillow copies into the EXIF data, take precedence over XMP.
        image.info.pop("xmp", None)
    try:
        return _TRANSPOSITIONS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # noqa: BLE001 - malformed EXIF data raises any exception, and the image itself may be valid
        return None


def _scale(
    largest: Image.Image, full_size: tuple[int, int], sizes: tuple[int, ...]
) -> dict[tuple[int, int], Image.Image]:
    """Return the image in each distinct thumbnail size, each made from the next larger one."""
    images: dict[tuple[int, int], Image.Image] = {}
    image = largest
    for size in sorted(sizes, reverse=True):
        target = _fit(full_size, size)
        if target not in images:
            image = images[target] = image.resize(target, Image.Resampling.LANCZOS)
    return images


def _thumbnails(
    images: dict[tuple[int, int], Image.Image], full_size: tuple[int, int], options: RenderOptions
) -> tuple[RenderedThumbnail, ...]:
    (mode,) = {image.mode for image in images.values()}
    content_type = _thumbnail_content_type(mode, options)
    encoded = {size: _encode(image, content_type) for size, image in images.items()}
    fitted = ((size, _fit(full_size, size)) for size in options.sizes)
    return tuple(RenderedThumbnail(size, *target, content_type, encoded[target]) for size, target in fitted)


def _thumbnail_content_type(mode: str, options: RenderOptions) -> str:
    if options.thumbnail_format == "auto":
        return (WEBP if mode == "RGBA" else JPEG).content_type
    return {"webp": WEBP, "jpeg": JPEG}[options.thumbnail_format].content_type


def _encode(image: Image.Image, content_type: str) -> bytes:
    output = io.BytesIO()
    if content_type == WEBP.content_type:
        image.save(output, "WEBP", quality=80, method=4)
    else:
        _flatten_on_white(image).save(output, "JPEG", quality=80, optimize=True)
    return output.getvalue()


def _flatten_on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _placeholder(image: Image.Image) -> str:
    small = image.convert("RGBA").resize(_fit(image.size, LONGEST_SIDE), Image.Resampling.BOX)
    return b64encode(thumbhash(*small.size, small.tobytes())).decode()


def _fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return `size` reduced to a longest side of at most `longest` pixels; no side becomes shorter than one pixel."""
    scale = min(1.0, longest / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height
