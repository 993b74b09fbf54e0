"""From the bytes of an image to checked facts and thumbnails; pure Pillow, without limits on time and memory.

A decoder is a large target: past its header limits a file may still cost minutes, gigabytes or the process.
The render pool runs this where that hurts nobody.
"""

from __future__ import annotations

import io
import warnings
from base64 import b64encode
from collections.abc import Callable
from typing import BinaryIO

import pillow_heif
from PIL import AvifImagePlugin, ExifTags, Image, ImageChops, ImageCms
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.core.errors import AppError, FileEmpty, FormatUnsupported, ImageCorrupt, ImageTooExpensive, ImageTooLarge
from app.core.formats import (
    AVIF,
    FORMATS_BY_CONTENT_TYPE,
    GIF,
    HEIC,
    HEIF,
    JPEG,
    PNG,
    SNIFF_BYTES,
    WEBP,
    ImageFormat,
    describe,
    sniff,
)
from app.core.image_headers import check_boxes_end, check_png_end, gif_extent, webp_canvas
from app.core.models import RenderedThumbnail, Rendering
from app.core.render_options import RenderLimits, RenderOptions
from app.core.thumbhash import LONGEST_SIDE, thumbhash

_OPENERS: dict[ImageFormat, Callable[[BinaryIO], Image.Image]] = {
    JPEG: JpegImageFile,  # Of an MPO, which is several JPEGs in a row, the first.
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

_PROFILE_MODES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}
_GREY_MODES = {"1", "L", "LA", "I;16"}

_DRAFT_GAP = 1.25
_REDUCING_GAP = 1.5
"""How much larger than its target an image stays when a whole factor shrinks it first: less is faster, and softer."""


def prepare() -> None:
    """Make a process that only renders ready for it."""
    # Threads cost address space, which is limited, and gain nothing where every core has a process.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    pillow_heif.options.DECODE_THREADS = 1
    # Pillow imports what it seldom needs on first use, when the process may no longer be able to open a file.
    sample = Image.new("RGB", (1, 1))
    exif = sample.getexif()
    exif[ExifTags.Base.Orientation] = 6
    for image_format, options in (("JPEG", {"exif": exif}), ("PNG", {}), ("GIF", {}), ("WEBP", {})):
        output = io.BytesIO()
        sample.save(output, image_format, **options)
        render(output, RenderOptions())


def render(file: BinaryIO, options: RenderOptions) -> Rendering:
    """Decide about the image in `file`, from its beginning.

    Raises FileEmpty, FormatUnsupported, ImageCorrupt, ImageTooLarge, and ImageTooExpensive when memory runs out.
    """
    file.seek(0)
    data = file.read()
    image_format = _allowed_format(data, options.allowed_content_types)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = _open(data, image_format, options.limits)
            if not options.sizes:
                width, height = _size_as_shown(image, image_format)
                return Rendering(image_format.content_type, width, height, placeholder=None, thumbnails=())
            width, height, largest = _decode(image, image_format, options)
    except AppError:
        raise
    except MemoryError as error:
        raise ImageTooExpensive from error
    except Image.DecompressionBombError as error:
        raise ImageTooLarge from error
    except Exception as error:  # Decoders raise nearly every built-in error there is on what is not an image.
        raise ImageCorrupt from error
    images = _scale(largest, (width, height), options.sizes)
    return Rendering(
        content_type=image_format.content_type,
        width=width,
        height=height,
        placeholder=_placeholder(min(images.values(), key=lambda image: image.size)),
        thumbnails=_thumbnails(images, (width, height), options),
    )


def _allowed_format(data: bytes, allowed: frozenset[str]) -> ImageFormat:
    if not data:
        raise FileEmpty
    found = sniff(data[:SNIFF_BYTES])
    if found and found.content_type in allowed:
        return found
    names = ", ".join(f.name for content_type, f in FORMATS_BY_CONTENT_TYPE.items() if content_type in allowed)
    what = f"a {found.name} image" if found else describe(data[:SNIFF_BYTES])
    raise FormatUnsupported(f"The file is {what}. Allowed are: {names}.")


def _open(data: bytes, image_format: ImageFormat, limits: RenderLimits) -> Image.Image:
    """Return the image with its header checked and no pixel decoded."""
    _check_container(data, image_format, limits)
    image = _OPENERS[image_format](io.BytesIO(data))
    _check_size(*image.size, limits)
    _check_frames(_frames(image, image_format), image.width * image.height, limits)
    return image


def _size_as_shown(image: Image.Image, image_format: ImageFormat) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _transposition(image, image_format) in _SWAPS_SIDES else (width, height)


def _decode(image: Image.Image, image_format: ImageFormat, options: RenderOptions) -> tuple[int, int, Image.Image]:
    """Return width and height as shown, and the image as shown at the largest size, in sRGB: L, RGB or RGBA."""
    full_size, longest = image.size, max(options.sizes)
    box = _draft(image, _fit(full_size, longest)) if image_format is JPEG else None
    image.load()
    if image_format in (HEIC, HEIF):
        # Only decoding tells the size of these for certain: the header that was checked may have named another.
        _check_size(*image.size, options.limits)
        full_size = image.size
    transposition = _transposition(image, image_format)
    icc_profile = image.info.get("icc_profile")
    is_grey = image.mode in _GREY_MODES
    image = _working_copy(image)
    image = image.resize(_fit(full_size, longest), Image.Resampling.LANCZOS, box, _REDUCING_GAP)
    image = _to_srgb(image, icc_profile, is_grey=is_grey)
    if transposition is not None:
        image = image.transpose(transposition)
    width, height = full_size[::-1] if transposition in _SWAPS_SIDES else full_size
    # Comments, EXIF and profiles stand here, and some encoders would write them.
    image.info = {}
    return width, height, image


def _check_container(data: bytes, image_format: ImageFormat, limits: RenderLimits) -> None:
    """Check what the decoder of the first frame would notice too late, or not at all."""
    if image_format is PNG:
        check_png_end(data)
    elif image_format is WEBP:
        _check_size(*webp_canvas(data), limits)
    elif image_format is GIF:
        extent = gif_extent(data, max_frames=limits.max_frames)
        _check_size(extent.width, extent.height, limits)
        _check_frames(extent.frames, extent.width * extent.height, limits)
    elif image_format in (HEIC, HEIF, AVIF):
        check_boxes_end(data)


def _check_frames(frames: int, pixels: int, limits: RenderLimits) -> None:
    if frames > limits.max_frames:
        raise ImageTooLarge(f"The image has more than {limits.max_frames:,} frames.")
    if frames * pixels > limits.max_total_pixels:
        raise ImageTooLarge(
            f"The image has {frames * pixels:,} pixels in {frames:,} frames; the limit is {limits.max_total_pixels:,}."
        )


def _check_size(width: int, height: int, limits: RenderLimits) -> None:
    if max(width, height) > limits.max_side:
        raise ImageTooLarge(f"The image is {width:,} x {height:,} pixels; the limit is {limits.max_side:,} on a side.")
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"The image is {width:,} x {height:,}, {width * height:,} pixels; the limit is {limits.max_pixels:,}."
        )


def _frames(image: Image.Image, image_format: ImageFormat) -> int:
    # GIF was counted before: Pillow does it a byte at a time, to the end of the file. What else the files of cameras
    # hold are gain maps, depth maps, previews and bursts: never shown, never decoded.
    return getattr(image, "n_frames", 1) if image_format in (PNG, WEBP, AVIF) else 1


def _draft(image: Image.Image, target: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Let the JPEG decoder shrink on the way; return the part of its result that is the image."""
    width, height = (int(side * _DRAFT_GAP) for side in target)
    drafted = image.draft(None, (width, height))
    return drafted[1] if drafted else None


def _transposition(image: Image.Image, image_format: ImageFormat) -> Image.Transpose | None:
    """Return what turns the image the right way up. HEIC comes upright, and pillow_heif says so in its EXIF data."""
    if image_format is AVIF:
        # `irot` and `imir`, which Pillow puts into the EXIF data, decide; XMP does not count.
        image.info.pop("xmp", None)
    try:
        return _TRANSPOSITIONS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # noqa: BLE001 - broken EXIF data raises what broken images raise, and the image may be fine
        return None


def _working_copy(image: Image.Image) -> Image.Image:
    """Return the image in a mode that can be resized: L, RGB, CMYK, or RGBA where something can be seen through."""
    if image.mode == "I;16":
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        return image.convert("RGB") if image.getchannel("A").getextrema() == (255, 255) else image
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode in _GREY_MODES else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return 16-bit grey as L or LA; Pillow's own conversion turns all but the darkest 256 shades white."""
    data = image.tobytes()
    low, high = (Image.frombytes("L", image.size, data[i::2]) for i in (0, 1))
    transparent = image.info.get("transparency")
    if transparent is None:
        return high
    differs = (
        plane.point([255 * (value != wanted) for value in range(256)])
        for plane, wanted in ((low, transparent & 0xFF), (high, transparent >> 8))
    )
    return Image.merge("LA", (high, ImageChops.lighter(*differs)))


def _to_srgb(image: Image.Image, icc_profile: bytes | None, *, is_grey: bool) -> Image.Image:
    converted = _converted_by_profile(image, icc_profile, is_grey=is_grey) if icc_profile else None
    if converted is None:
        return image.convert("RGB") if image.mode == "CMYK" else image
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted


def _converted_by_profile(image: Image.Image, icc_profile: bytes, *, is_grey: bool) -> Image.Image | None:
    """Return the colours in sRGB, or None if the profile is broken or made for other colours than these."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        mode = _PROFILE_MODES.get(profile.profile.xcolor_space)
        if mode is None or (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not is_grey):
            return None
        return ImageCms.profileToProfile(
            image if image.mode == mode else image.convert(mode),
            profile,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _scale(
    largest: Image.Image, full_size: tuple[int, int], sizes: tuple[int, ...]
) -> dict[tuple[int, int], Image.Image]:
    """Return the image in each size of its own that comes out, each made from the next larger one."""
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
        _on_white(image).save(output, "JPEG", quality=80, optimize=True)
    return output.getvalue()


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _placeholder(image: Image.Image) -> str:
    small = image.convert("RGBA").resize(_fit(image.size, LONGEST_SIDE), Image.Resampling.BOX)
    return b64encode(thumbhash(*small.size, small.tobytes())).decode()


def _fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return `size` shrunk to a longest side of `longest`, never enlarged, and no side gone."""
    scale = min(1.0, longest / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height
