"""Formats told apart by content, and what everything else is called."""

from __future__ import annotations

import io
import struct

import pillow_heif
import pytest

from app.core.formats import (
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
def test_each_format_is_known_by_its_content(image_format: ImageFormat):
    assert sniff(encoded(picture(16, 16), image_format.name.upper())) is image_format


def test_heic_is_known_by_its_content():
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture(64, 64)).save(buffer)
    assert sniff(buffer.getvalue()) is HEIC


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
def test_container_brands_tell_the_format(head: bytes, expected: ImageFormat | None):
    assert sniff(head) is expected


def test_brand_after_the_end_of_its_box_does_not_count():
    assert sniff(ftyp(b"mif1", b"miaf") + b"avif") is HEIF


@pytest.mark.parametrize(
    "head, words",
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
def test_what_is_not_taken_is_named(head: bytes, words: str):
    assert describe(head) == words


def test_extensions_name_one_format_each():
    assert len(FORMATS_BY_EXTENSION) == sum(len(f.extensions) for f in FORMATS)
