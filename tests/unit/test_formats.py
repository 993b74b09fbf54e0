"""Tests of the detection of formats by the content of files, and of the descriptions of unsupported ones."""

from __future__ import annotations

import io
import struct

import pillow_heif
import pytest

from app.domain.formats import (
    AVIF,
    FORMATS,
    FORMATS_BY_EXTENSION,
    GIF,
    HEIC,
    HEIF,
    JPEG,
    PNG,
    WEBP,
    ImageFormat,
    describe,
    sniff,
)
from tests.pictures import encoded, picture


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    return struct.pack(">I4s4sI", 16 + 4 * len(compatible), b"ftyp", major, 0) + b"".join(compatible) + bytes(64)


@pytest.mark.parametrize("image_format", [JPEG, PNG, GIF, WEBP, AVIF])
def test_each_format_is_detected_by_its_content(image_format: ImageFormat):
    assert sniff(encoded(picture(16, 16), image_format.name.upper())) is image_format


def test_heic_is_detected_by_its_content():
    file = io.BytesIO()
    pillow_heif.from_pillow(picture(64, 64)).save(file)
    assert sniff(file.getvalue()) is HEIC


@pytest.mark.parametrize(
    "head, expected",
    [
        (ftyp(b"avif", b"mif1", b"miaf"), AVIF),
        (ftyp(b"avis", b"msf1"), AVIF),
        (ftyp(b"heic", b"mif1", b"avif"), HEIC),
        (ftyp(b"mif1", b"heic"), HEIC),
        (ftyp(b"mif1", b"avif"), AVIF),
        (ftyp(b"mif1", b"miaf"), HEIF),
        (ftyp(b"msf1", b"hevc"), HEIC),
        (ftyp(b"isom", b"mif1", b"avif"), None),
        (ftyp(b"qt  "), None),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"\xff\xd8", None),
        (b"", None),
    ],
)
def test_the_format_of_a_container_is_determined_by_its_brands(head: bytes, expected: ImageFormat | None):
    assert sniff(head) is expected


def test_a_brand_after_the_end_of_its_box_is_ignored():
    assert sniff(ftyp(b"mif1", b"miaf") + b"avif") is HEIF


@pytest.mark.parametrize(
    "head, description",
    [
        (b"%PDF-1.7", "a PDF document"),
        (b"II*\x00\x08", "a TIFF image"),
        (b"MM\x00*\x00", "a TIFF image"),
        (b"8BPS\x00\x01", "a Photoshop document"),
        (b"BM6\x00", "a BMP image"),
        (b"\x00\x00\x01\x00\x01\x00", "an icon (ICO)"),
        (b"\x00\x00\x00\x0cjP  \r\n", "a JPEG 2000 image"),
        (b"\xff\x0a\xfa", "a JPEG XL image"),
        (ftyp(b"isom", b"mp42"), "a video or another file of the MP4 family"),
        (b"\xef\xbb\xbf  <SVG xmlns='x'>", "an SVG drawing"),
        (b'<?xml version="1.0"?><!-- a --><svg>', "an SVG drawing"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b'<?xml version="1.0"?><feed>', "an XML document"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"hello", "not a known image format"),
    ],
)
def test_unsupported_formats_are_described(head: bytes, description: str):
    assert describe(head) == description


def test_each_extension_belongs_to_one_format():
    assert len(FORMATS_BY_EXTENSION) == sum(len(f.extensions) for f in FORMATS)
