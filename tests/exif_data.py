"""EXIF data as cameras write them, of a photo that was taken at the Sydney Opera House."""

from __future__ import annotations

from typing import Any

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational


def exif(**changes: Any) -> Image.Exif:
    result = Image.Exif()
    result[ExifTags.Base.Make] = changes.get("make", "Canon\0 ")
    result[ExifTags.Base.Model] = "EOS R5 Ü".encode()
    result[ExifTags.Base.Orientation] = changes.get("orientation", 6)
    result.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: changes.get("time", "2026:07:14 18:03:22"),
            ExifTags.Base.OffsetTimeOriginal: changes.get("offset", "+02:00"),
            ExifTags.Base.SubsecTimeOriginal: "12",
            ExifTags.Base.LensModel: "RF 50mm F1.2",
            ExifTags.Base.ExposureTime: IFDRational(1, 125),
            ExifTags.Base.FNumber: IFDRational(28, 10),
            ExifTags.Base.ISOSpeedRatings: 400,
            ExifTags.Base.FocalLength: changes.get("focal_length", IFDRational(50, 1)),
        }
    )
    result.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSLatitudeRef: "S",
            ExifTags.GPS.GPSLatitude: changes.get("latitude", (33.0, 51.0, 24.4224)),
            ExifTags.GPS.GPSLongitudeRef: "E",
            ExifTags.GPS.GPSLongitude: (151.0, 12.0, 55.0692),
            ExifTags.GPS.GPSAltitudeRef: b"\x01",
            ExifTags.GPS.GPSAltitude: IFDRational(35, 10),
        }
    )
    return result
