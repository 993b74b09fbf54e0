"""Tests of reading when, with what and where a photo was taken."""

from __future__ import annotations

import io
import struct
from typing import Any

import pillow_heif
import pytest
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from app.domain.metadata import Metadata, Position
from app.imaging.metadata_fields import decode_metadata
from app.imaging.options import RenderOptions
from app.imaging.rendering import render
from tests.exif_data import exif
from tests.heif_files import box
from tests.pictures import encoded, picture

pillow_heif.register_heif_opener()

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description
    exif:DateTimeOriginal="2025-03-09T08:07:06.5Z"/></rdf:RDF></x:xmpmeta>"""
EXPECTED = Metadata(
    taken_at="2026-07-14T18:03:22.120",
    taken_offset="+02:00",
    camera_make="Canon",
    camera_model="EOS R5 Ü",
    lens="RF 50mm F1.2",
    exposure_seconds=0.008,
    f_number=2.8,
    iso=400,
    focal_length_mm=50,
    orientation=6,
    position=Position(latitude=-33.856784, longitude=151.215297, altitude=-3.5),
)


def with_metadata(image_format: str, **options: Any) -> bytes:
    return encoded(picture(40, 30), image_format, **options)


def read(data: bytes, **options: Any) -> Metadata:
    """Return the metadata of a rendering, and check that an inspection of the header finds the same."""
    rendered = render(io.BytesIO(data), RenderOptions(sizes=(16,), **options)).metadata
    inspected = render(io.BytesIO(data), RenderOptions(sizes=(), **options)).metadata
    assert rendered == inspected
    return rendered


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_metadata_are_read_from_exif_in_each_format(image_format: str):
    data = with_metadata(image_format, exif=exif(orientation=1).tobytes())
    metadata = read(data, keep_location=True)
    assert metadata.position is not None
    assert metadata.position.latitude == pytest.approx(-33.856784, abs=1e-5)
    # Some encoders do not write an orientation of 1.
    assert metadata.orientation in (1, None)
    assert (metadata.taken_at, metadata.taken_offset) == (EXPECTED.taken_at, EXPECTED.taken_offset)
    assert (metadata.camera_make, metadata.lens, metadata.iso) == ("Canon", "RF 50mm F1.2", 400)


def test_all_fields_are_read():
    assert read(with_metadata("JPEG", exif=exif()), keep_location=True) == EXPECTED


def test_position_is_left_out_by_default():
    assert read(with_metadata("JPEG", exif=exif())).position is None


def test_a_file_without_metadata_has_none():
    assert read(with_metadata("JPEG"), keep_location=True) == Metadata()


@pytest.mark.parametrize("options", [{}, {"zip": True}])
def test_time_is_read_from_xmp_in_png(options: dict[str, Any]):
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP, **options)
    metadata = read(with_metadata("PNG", pnginfo=text))
    assert metadata == Metadata(taken_at="2025-03-09T08:07:06.500", taken_offset="+00:00")


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "AVIF", "HEIF"])
def test_time_is_read_from_xmp(image_format: str):
    metadata = read(with_metadata(image_format, xmp=XMP.encode()))
    assert (metadata.taken_at, metadata.taken_offset) == ("2025-03-09T08:07:06.500", "+00:00")


@pytest.mark.parametrize(
    "element, taken_at",
    [
        (b"<photoshop:DateCreated>2025-03-09T08:07</photoshop:DateCreated>", "2025-03-09T08:07:00.000"),
        (b"xmp:CreateDate='2025-03-09T08:07:06+05:30'", "2025-03-09T08:07:06.000"),
        (b"xmp:CreateDate='2025-02-30T08:07:06'", None),
        (b"xmp:ModifyDate='2025-03-09T08:07:06'", None),
    ],
)
def test_notations_of_xmp(element: bytes, taken_at: str | None):
    assert read(with_metadata("JPEG", xmp=element)).taken_at == taken_at


def test_exif_time_takes_precedence_over_xmp():
    assert read(with_metadata("JPEG", exif=exif(), xmp=XMP.encode())).taken_at == EXPECTED.taken_at


def test_time_is_read_from_the_movie_box():
    seconds = 3_835_000_000
    movie = box(b"moov", box(b"mvhd", bytes(4) + struct.pack(">II", seconds, seconds) + bytes(88)))
    metadata = read(with_metadata("HEIF") + movie)
    assert (metadata.taken_at, metadata.taken_offset) == ("2025-07-10T13:46:40.000", "+00:00")


@pytest.mark.parametrize(
    "time, offset",
    [
        ("0000:00:00 00:00:00", "+02:00"),
        ("    :  :     :  :  ", "+02:00"),
        ("2026:13:14 18:03:22", "+02:00"),
        ("9999:12:31 00:00:00", "+02:00"),
        ("yesterday", ""),
    ],
)
def test_invalid_time_counts_as_none(time: str, offset: str):
    metadata = read(with_metadata("JPEG", exif=exif(time=time, offset=offset)))
    assert (metadata.taken_at, metadata.taken_offset) == (None, None)
    assert metadata.iso == 400


@pytest.mark.parametrize("offset", ["+25:00", "local", ""])
def test_invalid_offset_counts_as_none(offset: str):
    metadata = read(with_metadata("JPEG", exif=exif(offset=offset)))
    assert (metadata.taken_at, metadata.taken_offset) == (EXPECTED.taken_at, None)


def test_invalid_fields_do_not_affect_the_others():
    data = exif(
        latitude=(IFDRational(0, 0), IFDRational(0, 0), IFDRational(0, 0)),
        orientation=9,
        make="\u202e".encode() * 5,
        focal_length=IFDRational(1, 0),
    )
    metadata = read(with_metadata("JPEG", exif=data), keep_location=True)
    assert (metadata.position, metadata.orientation, metadata.camera_make) == (None, None, None)
    assert (metadata.focal_length_mm, metadata.iso) == (None, 400)


def test_text_is_cleaned_and_truncated():
    metadata = read(with_metadata("JPEG", exif=exif(make="a\r\nb" + "c" * 1000)))
    assert metadata.camera_make == "ab" + "c" * 98


def test_malformed_exif_counts_as_none():
    data = bytearray(with_metadata("JPEG", exif=exif()))
    start = data.index(b"Exif\0\0") + 6
    data[start + 8 : start + 60] = b"\xff" * 52
    assert read(bytes(data), keep_location=True) == Metadata()


@pytest.mark.parametrize(
    "fields",
    [
        {"taken_at": "2026-07-14"},
        {"taken_at": 5},
        {"camera_make": "a\n"},
        {"camera_make": "a" * 101},
        {"iso": True},
        {"iso": 1.5},
        {"exposure_seconds": float("nan")},
        {"orientation": 9},
        {"position": {"latitude": 91, "longitude": 0}},
        {"position": {"latitude": 1, "longitude": "1"}},
        {"position": {"latitude": 1}},
        {"position": "here"},
        {"unknown": 1},
    ],
)
def test_invalid_response_is_refused(fields: dict[str, Any]):
    with pytest.raises((ValueError, TypeError)):
        decode_metadata(fields)
