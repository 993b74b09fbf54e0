"""Removes the position, or all metadata, from image files without decoding or changing a pixel."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from app.domain.errors import ImageCorrupt
from app.domain.formats import AVIF, GIF, HEIC, HEIF, JPEG, PNG, SNIFF_BYTES, WEBP, ImageFormat, require_format
from app.domain.renderings import Stripping
from app.imaging.stripping.gif import gif_for_display, gif_without_location
from app.imaging.stripping.heif import heif_for_display, heif_without_location
from app.imaging.stripping.jpeg import jpeg_for_display, jpeg_without_location
from app.imaging.stripping.png import png_for_display, png_without_location
from app.imaging.stripping.webp import webp_for_display, webp_without_location

_WITHOUT_LOCATION: dict[ImageFormat, Callable[[bytes], bytes]] = {
    JPEG: jpeg_without_location,
    PNG: png_without_location,
    GIF: gif_without_location,
    WEBP: webp_without_location,
    AVIF: heif_without_location,
    HEIC: heif_without_location,
    HEIF: heif_without_location,
}
_FOR_DISPLAY: dict[ImageFormat, Callable[[bytes], bytes]] = {
    JPEG: jpeg_for_display,
    PNG: png_for_display,
    GIF: gif_for_display,
    WEBP: webp_for_display,
    AVIF: heif_for_display,
    HEIC: heif_for_display,
    HEIF: heif_for_display,
}


def strip(data: bytes, stripping: Stripping) -> bytes:
    """Return the file without its position or without all metadata; it is equal to `data` if there was none.

    Raises FormatUnsupported, and ImageCorrupt if the file cannot be read well enough.
    """
    image_format = require_format(data[:SNIFF_BYTES], {known.content_type for known in _FOR_DISPLAY})
    strippers = _WITHOUT_LOCATION if stripping is Stripping.LOCATION else _FOR_DISPLAY
    try:
        with warnings.catch_warnings():
            # Pillow warns of malformed EXIF data, which anyone can upload. The log would fill with it.
            warnings.simplefilter("ignore")
            return strippers[image_format](data)
    except MemoryError:
        raise
    except Exception as error:
        raise ImageCorrupt(
            f"The metadata cannot be removed from this file, which is damaged or has an unusual structure: {error}. "
            "Save the image with another program, and upload the new file."
        ) from error


def prepare_stripping() -> None:
    """Import what is imported on first use, while this process may still open files."""
    packet = '<x:a xmlns:x="x"><x:City>Hamburg</x:City></x:a>'
    info = PngInfo()
    info.add_text("XML:com.adobe.xmp", packet, zip=True)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    for image_format, options in (("JPEG", {"exif": exif, "xmp": packet.encode()}), ("PNG", {"pnginfo": info})):
        output = io.BytesIO()
        Image.new("RGB", (1, 1)).save(output, image_format, **options)
        for stripping in Stripping:
            strip(output.getvalue(), stripping)
