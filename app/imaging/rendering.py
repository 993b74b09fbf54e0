"""Validates an image and renders its thumbnails with Pillow, in the current process.

A malformed image can still cost minutes, gigabytes or the whole process while its decoder runs. This module sets no
limits on time and memory: the render pool runs it in a separate process that has them.
"""

from __future__ import annotations

import io
import warnings
from base64 import b64encode
from typing import BinaryIO

import pillow_heif
from PIL import AvifImagePlugin, ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from app.domain.errors import AppError, FileEmpty, ImageCorrupt, ImageTooExpensive, ImageTooLarge
from app.domain.formats import AVIF, JPEG, SNIFF_BYTES, WEBP, ImageFormat, require_format
from app.domain.renderings import Crop, RenderedThumbnail, Rendering
from app.imaging.color import is_grayscale, to_resizable_mode, to_srgb
from app.imaging.jpeg import with_end_marker
from app.imaging.metadata import read_metadata
from app.imaging.opening import OpenedImage, check_size, open_image
from app.imaging.options import RenderOptions
from app.imaging.thumbhash import LONGEST_SIDE, thumbhash
from app.imaging.webp import WebpImage, load_webp

_DRAFT_GAP = 1.2
_REDUCING_GAP = 1.5
"""How many times larger than its target an image remains after the first, integer-factor reduction.

A smaller gap is faster, and the result is softer. With a draft gap of 1.2, the JPEG decoder halves an image that is
1920 pixels wide, the most common width of a screenshot or video frame, to 960 pixels for a thumbnail of 800.
"""
_AVIF_QUALITY, _AVIF_SPEED = 60, 8
"""At this speed, AVIF takes as long as WebP, and at this quality its files are a quarter smaller."""


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
    render(output, RenderOptions(thumbnail_format="avif"))


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
            opened = open_image(data, image_format, options.limits)
            metadata = read_metadata(opened.image, data, image_format, keep_location=options.keep_location)
            if not options.sizes:
                width, height = opened.upright(_displayed_size(opened))
                return Rendering(
                    image_format.content_type, width, height, placeholder=None, thumbnails=(), metadata=metadata
                )
            width, height, largest = _decode(opened, image_format, options)
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
        metadata=metadata,
    )


def _displayed_size(opened: OpenedImage) -> tuple[int, int]:
    """Return the size after cropping and before the transpositions."""
    left, top, right, bottom = opened.crop_box() or (0, 0, *opened.image.size)
    return right - left, bottom - top


def _decode(opened: OpenedImage, image_format: ImageFormat, options: RenderOptions) -> tuple[int, int, Image.Image]:
    """Return the width and height of the upright image, and its largest thumbnail in sRGB as L, RGB or RGBA."""
    longest = max(options.sizes)
    image, full_size, box = _load(opened, image_format, longest)
    # The size is certain only after decoding: the header of a HEIC image may declare another.
    check_size(*full_size, options.limits)
    was_grayscale = is_grayscale(image)
    image = to_resizable_mode(image)
    image = image.resize(_fit(full_size, longest), Image.Resampling.LANCZOS, box, _REDUCING_GAP)
    image = to_srgb(image, opened.icc_profile, was_grayscale=was_grayscale)
    for transposition in opened.transpositions:
        image = image.transpose(transposition)
    # `info` holds comments, EXIF data and profiles, and some encoders would write them into the thumbnails.
    image.info = {}
    return *opened.upright(full_size), image


def _load(
    opened: OpenedImage, image_format: ImageFormat, longest: int
) -> tuple[Image.Image, tuple[int, int], tuple[float, float, float, float] | None]:
    """Return the decoded and cropped image, its full size, and its box if the decoder already reduced its size."""
    if image_format is JPEG:
        return _load_jpeg(opened, longest)
    image = opened.image
    if getattr(image, "default_image", False):  # The first image of this PNG animation is not one of its frames.
        image.seek(1)
    if isinstance(image, WebpImage):
        image = load_webp(image, opened.data)
    else:
        image.load()
    crop_box = opened.crop_box()
    if crop_box:
        image = image.crop(crop_box)
    return image, image.size, None


def _load_jpeg(
    opened: OpenedImage, longest: int
) -> tuple[Image.Image, tuple[int, int], tuple[float, float, float, float] | None]:
    image, full_size = opened.image, opened.image.size
    target = _fit(full_size, longest)
    box = _draft(image, target)
    try:
        image.load()
    except OSError:
        image = JpegImageFile(io.BytesIO(with_end_marker(opened.data)))
        box = _draft(image, target)
        image.load()
    return image, full_size, box


def _draft(image: Image.Image, target: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Configure the JPEG decoder to shrink the image while it decodes; return the box of its output to use."""
    width, height = (int(side * _DRAFT_GAP) for side in target)
    drafted = image.draft(None, (width, height))
    return drafted[1] if drafted else None


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
    cropped = {target: _crop(image, options.crop) for target, image in images.items()}
    encoded = {target: _encode(image, content_type, options.quality) for target, image in cropped.items()}
    fitted = ((size, _fit(full_size, size)) for size in options.sizes)
    return tuple(
        RenderedThumbnail(size, *cropped[target].size, content_type, encoded[target]) for size, target in fitted
    )


def _crop(image: Image.Image, crop: Crop | None) -> Image.Image:
    if crop is None:
        return image
    width, height = min(crop.width, image.width), min(crop.height, image.height)
    left, top = _offset(image.width, width, crop.x), _offset(image.height, height, crop.y)
    return image.crop((left, top, left + width, top + height))


def _offset(full: int, part: int, percent: int) -> int:
    """Return where a part of a side begins, so that its middle is as close as possible to a point of the side."""
    return min(max(round(full * percent / 100 - part / 2), 0), full - part)


def _thumbnail_content_type(mode: str, options: RenderOptions) -> str:
    if options.thumbnail_format == "auto":
        return (WEBP if mode == "RGBA" else JPEG).content_type
    return {"avif": AVIF, "webp": WEBP, "jpeg": JPEG}[options.thumbnail_format].content_type


def _encode(image: Image.Image, content_type: str, quality: int) -> bytes:
    output = io.BytesIO()
    if content_type == AVIF.content_type:
        image.save(output, "AVIF", quality=_AVIF_QUALITY, speed=_AVIF_SPEED, max_threads=1)
    elif content_type == WEBP.content_type:
        image.save(output, "WEBP", quality=quality, method=4)
    else:
        _flatten_on_white(image).save(output, "JPEG", quality=quality, optimize=True)
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
