"""Reads when, with what and where a photo was taken: from EXIF, else the time from XMP or the QuickTime boxes of HEIF.

Metadata of any content may be malformed although the image is valid. What cannot be read counts as missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from PIL import ExifTags, Image

from app.domain.formats import AVIF, HEIC, HEIF, PNG, ImageFormat
from app.domain.metadata import Metadata, Position
from app.domain.text import clean_line
from app.imaging.boxes import boxes, child
from app.imaging.metadata_fields import MAX_TEXT, keep_valid
from app.imaging.png import read_png_metadata

_Source = TypeVar("_Source")
_Result = TypeVar("_Result")
_Fields = dict[str, Any]

_EXIF_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d)[ T](\d\d:\d\d:\d\d)")
_EXIF_OFFSET = re.compile(r"[+-]\d\d:\d\d")
_ISO_TIME = re.compile(
    rb"(?:exif:DateTimeOriginal|photoshop:DateCreated|xmp:CreateDate)(?:\s*=\s*[\"']|>)"
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?"
)
_MAX_XMP_BYTES = 1 << 20
_QUICKTIME_EPOCH = datetime(1904, 1, 1)  # noqa: DTZ001 - a wall time, like all times here
_MILLISECOND_DIGITS = 3
_SIGNIFICANT_DIGITS = 6
_BELOW_SEA_LEVEL = (b"\x01", 1)


def read_metadata(image: Image.Image, data: bytes, image_format: ImageFormat, *, keep_location: bool) -> Metadata:
    """Return the metadata of an opened image whose file is `data`. The position is left out unless `keep_location`."""
    exif_data, xmp = image.info.get("exif"), image.info.get("xmp")
    if image_format is PNG:
        exif_data, xmp = _attempt(read_png_metadata, data) or (None, None)
    fields: _Fields = {}
    exif = _attempt(_load_exif, exif_data)
    if exif is not None:
        fields |= _attempt(_read_camera, exif) or {}
        fields |= _attempt(_read_exposure, exif) or {}
        if keep_location:
            fields["position"] = _attempt(_read_position, exif)
    if image_format in (HEIC, HEIF) and "original_orientation" in image.info:
        fields["orientation"] = image.info["original_orientation"]
    if "taken_at" not in fields and xmp:
        fields |= _attempt(_read_xmp_time, xmp) or {}
    if "taken_at" not in fields and image_format in (HEIC, HEIF, AVIF):
        fields |= _attempt(_read_quicktime_time, data) or {}
    return keep_valid(fields)


def _attempt(read: Callable[[_Source], _Result], source: _Source) -> _Result | None:
    try:
        return read(source)
    except Exception:  # noqa: BLE001 - malformed metadata raises any exception, and the image itself may be valid
        return None


def _load_exif(content: bytes | None) -> Image.Exif:
    exif = Image.Exif()
    exif.load(content or b"")
    return exif


def _read_camera(exif: Image.Exif) -> _Fields:
    return {
        "camera_make": _text(exif.get(ExifTags.Base.Make)),
        "camera_model": _text(exif.get(ExifTags.Base.Model)),
        "orientation": exif.get(ExifTags.Base.Orientation),
    }


def _read_exposure(exif: Image.Exif) -> _Fields:
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    iso = tags.get(ExifTags.Base.ISOSpeedRatings)
    return _read_exif_time(tags) | {
        "lens": _text(tags.get(ExifTags.Base.LensModel)),
        "exposure_seconds": _number(tags.get(ExifTags.Base.ExposureTime)),
        "f_number": _number(tags.get(ExifTags.Base.FNumber)),
        "iso": iso[0] if isinstance(iso, tuple) else iso,
        "focal_length_mm": _number(tags.get(ExifTags.Base.FocalLength)),
    }


def _read_exif_time(tags: Mapping[int, Any]) -> _Fields:
    for time_tag, offset_tag, fraction_tag in (
        (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal, ExifTags.Base.SubsecTimeOriginal),
        (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized, ExifTags.Base.SubsecTimeDigitized),
    ):
        # Cameras write zeros or spaces if they do not know the time.
        if (match := _EXIF_TIME.match(str(tags.get(time_tag, "")))) and match[1] != "0000":
            year, month, day, time = match.groups()
            offset = _EXIF_OFFSET.match(str(tags.get(offset_tag, "")))
            taken_at = f"{year}-{month}-{day}T{time}.{_milliseconds(str(tags.get(fraction_tag, '')))}"
            return {"taken_at": taken_at} | ({"taken_offset": offset[0]} if offset else {})
    return {}


def _read_xmp_time(xmp: bytes | str) -> _Fields:
    packet = xmp.encode() if isinstance(xmp, str) else xmp
    match = _ISO_TIME.search(packet, 0, _MAX_XMP_BYTES)
    if match is None:
        return {}
    minute, second, fraction, offset = (group.decode() if group else "" for group in match.groups())
    taken_at = f"{minute}{second or ':00'}.{_milliseconds(fraction[1:])}"
    return {"taken_at": taken_at} | ({"taken_offset": offset.replace("Z", "+00:00")} if offset else {})


def _read_quicktime_time(data: bytes) -> _Fields:
    """Return the creation time of the movie box, which is in UTC. Only image sequences have one."""
    for movie in (box for box in boxes(data, 0, len(data)) if box.kind == b"moov"):
        if header := child(data, movie, b"mvhd"):
            size = 8 if data[header.start] else 4
            seconds = int.from_bytes(data[header.start + 4 : header.start + 4 + size], "big")
            if seconds:
                time = _QUICKTIME_EPOCH + timedelta(seconds=seconds)
                return {"taken_at": time.isoformat(timespec="milliseconds"), "taken_offset": "+00:00"}
    return {}


def _read_position(exif: Image.Exif) -> Position | None:
    tags = exif.get_ifd(ExifTags.IFD.GPSInfo)
    if not {ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLongitude} <= tags.keys():
        return None
    altitude = tags.get(ExifTags.GPS.GPSAltitude)
    is_below = tags.get(ExifTags.GPS.GPSAltitudeRef) in _BELOW_SEA_LEVEL
    return Position(
        latitude=_degrees(tags[ExifTags.GPS.GPSLatitude], tags.get(ExifTags.GPS.GPSLatitudeRef)),
        longitude=_degrees(tags[ExifTags.GPS.GPSLongitude], tags.get(ExifTags.GPS.GPSLongitudeRef)),
        altitude=None if altitude is None else round(float(altitude) * (-1 if is_below else 1), 1),
    )


def _degrees(parts: tuple[Any, ...], reference: object) -> float:
    degrees, minutes, seconds = map(float, parts)
    return round((degrees + minutes / 60 + seconds / 3600) * (-1 if reference in ("S", "W") else 1), 6)


def _milliseconds(fraction: str) -> str:
    digits = re.match(r"[0-9]*", fraction.strip())
    return (digits[0] if digits else "")[:_MILLISECOND_DIGITS].ljust(_MILLISECOND_DIGITS, "0")


def _text(value: object) -> str | None:
    """Return the cleaned text. EXIF text is often UTF-8, although Pillow decodes it as Latin-1."""
    if not isinstance(value, str):
        return None
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode()
    return clean_line(clean_line(value)[:MAX_TEXT])


def _number(value: Any) -> float | None:  # noqa: ANN401 - EXIF has several types of numbers
    """Return a rational number as a short decimal one."""
    return None if value is None else float(f"{float(value):.{_SIGNIFICANT_DIGITS}g}")
