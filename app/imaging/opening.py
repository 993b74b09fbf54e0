"""Opens an image: checks its container and its declared size, and reads how it is to be displayed."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import pillow_heif
from PIL import ExifTags, Image
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from app.domain.errors import ImageTooLarge
from app.domain.formats import AVIF, GIF, HEIC, HEIF, JPEG, PNG, WEBP, ImageFormat
from app.imaging import heif, webp
from app.imaging.boxes import read_items
from app.imaging.color_spaces import profile_from_code_points, profile_from_exif, profile_from_png
from app.imaging.gif import read_gif_extent
from app.imaging.options import RenderLimits
from app.imaging.png import read_png

OPENERS: dict[ImageFormat, Callable[[BinaryIO], Image.Image]] = {
    JPEG: JpegImageFile,  # An MPO file is a sequence of JPEGs; this opens the first.
    PNG: PngImageFile,
    GIF: GifImageFile,
    WEBP: webp.WebpImage,
    AVIF: heif.AvifImage,
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
_SWAPS_SIDES = {
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
}


@dataclass(slots=True)
class OpenedImage:
    """An image of which no pixel has been decoded, and how it is to be displayed."""

    image: Image.Image
    data: bytes
    """The file that the decoder reads. It can differ from the file that was opened."""
    icc_profile: bytes | None = None
    """The profile of the colors. None means sRGB."""
    aperture: heif.CleanAperture | None = None
    """The part of the decoded image that is displayed. None means all of it."""
    transpositions: tuple[Image.Transpose, ...] = ()
    """The transpositions, in this order, that make the image upright."""

    def crop_box(self) -> tuple[int, int, int, int] | None:
        return self.aperture.box(*self.image.size) if self.aperture else None

    def upright(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the upright image if `size` is its size before the transpositions."""
        swaps = sum(transposition in _SWAPS_SIDES for transposition in self.transpositions)
        return size[::-1] if swaps % 2 else size


def open_image(data: bytes, image_format: ImageFormat, limits: RenderLimits) -> OpenedImage:
    """Return the image with its header checked and no pixel decoded.

    Raises ImageTooLarge. If the file is malformed, raises nearly any exception, because decoders do.
    """
    if image_format is PNG:
        return _open_png(data, limits)
    if image_format in (HEIC, HEIF, AVIF):
        return _open_heif(data, image_format, limits)
    if image_format is WEBP:
        # libwebp allocates the canvas before it returns its size.
        check_size(*webp.read_canvas_size(data), limits)
        webp.check_chunks(data)
    elif image_format is GIF:
        extent = read_gif_extent(data, max_frames=limits.max_frames)
        check_size(extent.width, extent.height, limits)
        _check_frames(extent.frames, extent.width * extent.height, limits)
    image = _open(data, image_format, limits)
    exif = _read_exif(image.info.get("exif"))
    icc_profile = image.info.get("icc_profile") or _profile_from_exif(exif)
    return OpenedImage(image, data, icc_profile, transpositions=_transpositions_from_exif(exif))


def _open_png(data: bytes, limits: RenderLimits) -> OpenedImage:
    chunks = read_png(data)
    image = _open(chunks.decoded, PNG, limits)
    exif = _read_exif(chunks.exif)
    icc_profile = profile_from_png(chunks.color) if chunks.color else _profile_from_exif(exif)
    return OpenedImage(image, chunks.decoded, icc_profile, transpositions=_transpositions_from_exif(exif))


def _open_heif(data: bytes, image_format: ImageFormat, limits: RenderLimits) -> OpenedImage:
    heif.check_boxes_are_complete(data)
    items = read_items(data)
    properties = heif.primary_properties(data, items)
    code_points = heif.read_code_points(data, properties, items)
    if image_format is AVIF:
        data = heif.with_valid_associations(data, items)
    else:
        heif.check_hevc_items(data, items)
    image = _open(data, image_format, limits)
    icc_profile = image.info.get("icc_profile")
    if not icc_profile:
        exif = _read_exif(image.info.get("exif"))
        icc_profile = profile_from_code_points(*code_points) if code_points else _profile_from_exif(exif)
    # The container alone determines the orientation. pillow_heif applies its transformations, Pillow does not.
    if image_format is AVIF:
        transformations = heif.read_transformations(data, properties)
        return OpenedImage(image, data, icc_profile, transformations.aperture, transformations.transpositions)
    return OpenedImage(image, data, icc_profile)


def _open(data: bytes, image_format: ImageFormat, limits: RenderLimits) -> Image.Image:
    image = OPENERS[image_format](io.BytesIO(data))
    check_size(*image.size, limits)
    _check_frames(_count_frames(image, image_format), image.width * image.height, limits)
    return image


def _count_frames(image: Image.Image, image_format: ImageFormat) -> int:
    # GIF frames are counted before, because Pillow would read the whole file one byte at a time. The additional images
    # in camera files are gain maps, depth maps, previews and bursts, which are never displayed and never decoded.
    return getattr(image, "n_frames", 1) if image_format in (PNG, WEBP, AVIF) else 1


def _read_exif(content: bytes | None) -> Image.Exif:
    """Return the EXIF data without the orientation in XMP, which Pillow's `getexif` includes and browsers ignore."""
    exif = Image.Exif()
    try:
        exif.load(content or b"")
    except Exception:  # noqa: BLE001 - malformed EXIF data raises any exception, and the image itself may be valid
        return Image.Exif()
    return exif


def _transpositions_from_exif(exif: Image.Exif) -> tuple[Image.Transpose, ...]:
    try:
        transposition = _TRANSPOSITIONS.get(exif.get(ExifTags.Base.Orientation))
    except Exception:  # noqa: BLE001 - see _read_exif
        return ()
    return (transposition,) if transposition is not None else ()


def _profile_from_exif(exif: Image.Exif) -> bytes | None:
    try:
        return profile_from_exif(exif)
    except Exception:  # noqa: BLE001 - see _read_exif
        return None


def check_size(width: int, height: int, limits: RenderLimits) -> None:
    """Raise ImageTooLarge if a frame of this size exceeds the limits."""
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


def _check_frames(frames: int, pixels_per_frame: int, limits: RenderLimits) -> None:
    if frames > limits.max_frames:
        raise ImageTooLarge(f"The image has too many frames; the limit is {limits.max_frames:,}. Upload a shorter one.")
    total = frames * pixels_per_frame
    if total > limits.max_total_pixels:
        raise ImageTooLarge(
            f"The image has {total:,} pixels in {frames:,} frames; the limit is {limits.max_total_pixels:,} pixels. "
            "Upload a smaller or shorter one."
        )
