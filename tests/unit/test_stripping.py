"""Tests of removing the position, or all metadata, from files of each format."""

from __future__ import annotations

import hashlib
import io
import random
import zlib
from contextlib import suppress

import pytest
from PIL import ExifTags, Image

from app.domain.errors import ImageCorrupt
from app.domain.renderings import Stripping
from app.imaging.stripping import strip
from app.imaging.stripping.exif import EXIF_PREFIX, exif_for_display, exif_without_location
from app.imaging.stripping.photoshop import iptc_without_location, resources_without_location
from app.imaging.stripping.xmp import xmp_without_location
from tests.heif_files import box
from tests.pictures import encoded, jpeg, picture
from tests.stripping_files import FILES, IPTC, PLACE, XMP, exif_bytes, jpeg_file, pixels, png_file, resources

LOCATION, ALL = Stripping.LOCATION, Stripping.ALL
PICTURES = box(b"hdlr", bytes(8) + b"pict" + bytes(12))
HEXADECIMAL_PLACE = PLACE.encode().hex().encode()


def everything(data: bytes) -> bytes:
    """Return the file together with its compressed text chunks, if it is a PNG file."""
    found = [data]
    for start in range(len(data)) if data.startswith(b"\x89PNG") else ():
        if data[start : start + 2] in (b"\x78\x9c", b"\x78\xda"):
            try:
                found.append(zlib.decompressobj().decompress(data[start:]))
            except zlib.error:
                continue
    return b"\n".join(found).replace(b"\n", b"")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("stripping", Stripping)
def test_no_place_is_left_and_no_pixel_changes(name: str, stripping: Stripping):
    data = FILES[name]()
    assert PLACE.encode() in data
    stripped = strip(data, stripping)
    assert PLACE.encode() not in everything(stripped)
    assert HEXADECIMAL_PLACE not in everything(stripped)
    assert pixels(stripped) == pixels(data)
    assert strip(stripped, stripping) == stripped


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "heic", "avif"])
def test_other_exif_tags_stay_when_the_position_is_removed(name: str):
    with (
        Image.open(io.BytesIO(FILES[name]())) as before,
        Image.open(io.BytesIO(strip(FILES[name](), LOCATION))) as after,
    ):
        assert after.getexif().get_ifd(ExifTags.IFD.GPSInfo) == {}
        original = before.getexif()
        kept = after.getexif()
        for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.Interop):
            tags = original.get_ifd(ifd)
            tags.pop(ExifTags.Base.MakerNote, None)
            assert kept.get_ifd(ifd) == tags
        pointers = {ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif}
        expected = {tag: value for tag, value in original.items() if tag not in pointers}
        assert {tag: value for tag, value in kept.items() if tag != ExifTags.IFD.Exif} == expected


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_orientation_and_profile_stay_when_all_metadata_are_removed(name: str):
    with Image.open(io.BytesIO(strip(FILES[name](), ALL))) as image:
        assert dict(image.getexif()) == {ExifTags.Base.Orientation: 6}
        assert image.info["icc_profile"] == b"A profile " * 20
        assert not image.info.keys() & {"xmp", "comment", "Title", "photoshop"}


@pytest.mark.parametrize("name", ["gif", "heic", "avif"])
def test_title_is_kept_or_removed(name: str):
    assert b"Kept title" in strip(FILES[name](), LOCATION)
    assert b"Kept" not in strip(FILES[name](), ALL)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("stripping", Stripping)
def test_file_without_metadata_is_not_changed(image_format: str, stripping: Stripping):
    data = encoded(picture(40, 30), image_format)
    assert strip(data, stripping) == data


def test_video_of_a_motion_photo_is_cut_off_and_the_second_image_kept():
    data = jpeg_file()
    video = box(b"ftyp", b"isom") + box(b"moov", PLACE.encode())
    assert strip(data + video, LOCATION) == strip(data, LOCATION)
    assert len(strip(data, LOCATION)) == len(data)
    assert strip(data, ALL).count(b"\xff\xd8\xff") == 1


def test_apple_maker_notes_are_kept_for_hdr():
    note = b"Apple iOS\0\0\x01MM" + bytes(range(40))
    data = exif_bytes(maker_note=note)
    assert note in exif_without_location(data)
    assert b"Canon Fuhls" not in exif_without_location(exif_bytes())


def test_directories_that_overlap_leave_only_what_is_displayed():
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = PLACE.encode()
    data = bytearray(tags.tobytes())
    pointer = data.index(b"\x88\x25")
    data[pointer + 8 : pointer + 12] = (8).to_bytes(4, "big")  # The position is in the first directory.
    stripped = exif_without_location(bytes(data))
    assert len(stripped) == len(data)
    assert exif_for_display(stripped) == exif_for_display(bytes(data))


def test_pointer_beyond_the_end_is_removed_and_other_tags_stay():
    data = bytearray(exif_bytes())
    pointer = data.index(b"\x88\x25")
    data[pointer + 8 : pointer + 12] = b"\xff\xff\xff\xf0"
    with Image.open(io.BytesIO(jpeg(8, 8, exif=exif_without_location(bytes(data))))) as image:
        assert ExifTags.IFD.GPSInfo not in image.getexif()
        assert image.getexif()[ExifTags.Base.Orientation] == 6
        assert image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] == "RF 50mm F1.2"


def test_times_of_an_image_sequence_are_erased_with_all_metadata():
    times = bytes(range(1, 9))
    headers = box(b"mvhd", bytes(4) + times) + box(b"trak", box(b"tkhd", bytes(4) + times) + box(b"mdia", PICTURES))
    data = encoded(picture(40, 30), "AVIF") + box(b"moov", headers)
    assert strip(data, LOCATION) == data
    assert strip(data, ALL) == data.replace(times, bytes(8))


@pytest.mark.parametrize(
    "content", [b"", b"x", b"II*\0", b"MM\0*\xff\xff\xff\xff", EXIF_PREFIX + b"II*\0\x08\0\0\0\xff\xff"]
)
def test_malformed_exif_keeps_its_length(content: bytes):
    assert len(exif_without_location(content)) == len(content)
    assert exif_for_display(content) == b""


def test_xmp_keeps_its_length_and_other_properties():
    stripped = xmp_without_location(XMP)
    assert len(stripped) == len(XMP)
    assert b'xmp:Rating="4"' in stripped
    assert b"Kept title" in stripped
    assert b"GPS" not in stripped
    assert b"Country" not in stripped
    assert PLACE.encode() not in stripped


@pytest.mark.parametrize(
    "packet",
    [
        XMP[:-40],
        XMP.decode().encode("utf-16"),
        b'<!DOCTYPE a [<!ENTITY e "Fuhlsbuettel">]><a>&e;</a>',
        b"<a><b City='1' City='2'/></a>",
        b"Fuhlsbuettel",
    ],
)
def test_xmp_that_cannot_be_searched_becomes_spaces(packet: bytes):
    assert xmp_without_location(packet) == b" " * len(packet)


def test_iptc_digest_is_that_of_the_new_data():
    stripped = resources_without_location(resources())
    assert stripped == resources(iptc_without_location(IPTC))
    assert iptc_without_location(IPTC).rstrip(b"\0").endswith(b"Kept key")


def test_extended_xmp_has_the_digest_of_its_new_content():
    stripped = strip(jpeg_file(), LOCATION)
    with Image.open(io.BytesIO(stripped)) as image:
        segments = [content for marker, content in image.applist if marker == "APP1"]  # type: ignore[attr-defined]
    extended = [s for s in segments if s.startswith(b"http://ns.adobe.com/xmp/extension/\0")]
    packet = b"".join(s[75:] for s in extended)
    guid = hashlib.md5(packet, usedforsecurity=False).hexdigest().upper().encode()
    assert {s[35:67] for s in extended} == {guid}
    assert stripped.count(guid) == 3
    assert b"Kept label" in packet


def test_png_text_that_is_not_readable_is_left_out():
    data = png_file()
    start = data.index(b"zTXtRaw profile type exif") + 40
    damaged = data[:start] + bytes(8) + data[start + 8 :]
    assert b"Raw profile type exif" not in strip(damaged, LOCATION)
    assert b"Raw profile type iptc" in strip(damaged, LOCATION)


def test_iptc_data_in_png_text_keep_their_other_datasets():
    data = strip(png_file(), LOCATION)
    start = data.index(b"zTXtRaw profile type iptc") + 27
    assert b"Kept key".hex().encode() in zlib.decompressobj().decompress(data[start:]).replace(b"\n", b"")


def test_heif_items_of_unknown_kinds_become_zeros():
    damaged = FILES["avif"]().replace(b"Exif\0", b"Exig\0", 1)
    assert PLACE.encode() not in strip(damaged, LOCATION)


def test_heif_with_a_track_of_other_data_is_refused():
    handler = box(b"mdia", box(b"hdlr", bytes(8) + b"meta" + bytes(12)))
    with pytest.raises(ImageCorrupt, match="a track that has no pictures"):
        strip(FILES["avif"]() + box(b"moov", box(b"trak", handler)), LOCATION)


@pytest.mark.parametrize("data", [jpeg()[:200], b"\x89PNG\r\n\x1a\n" + bytes(20), b"GIF89a" + bytes(7) + b"\x21\xff"])
def test_file_without_a_readable_structure_is_refused(data: bytes):
    with pytest.raises(ImageCorrupt, match="metadata cannot be removed"):
        strip(data, LOCATION)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("stripping", Stripping)
def test_damaged_files_have_a_result_or_an_error(name: str, stripping: Stripping):
    data = FILES[name]()
    randomness = random.Random(name)
    for attempt in range(60):
        damaged = bytearray(data[: randomness.randrange(12, len(data))] if attempt % 3 == 0 else data)
        for _ in range(attempt % 5):
            damaged[randomness.randrange(12, len(damaged))] = randomness.randrange(256)
        with suppress(ImageCorrupt):
            assert len(strip(bytes(damaged), stripping)) <= len(damaged) + 1024
