"""Image files with a position in each place that a format has for it."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import pillow_heif
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from tests.exif_data import exif
from tests.heif_files import box
from tests.pictures import encoded, jpeg, picture

PLACE = "Fuhlsbuettel"
"""The place in all of the files; none of the other values contains it."""

XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
  xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
  xmlns:dc="http://purl.org/dc/elements/1.1/"
  exif:GPSLatitude="53,37.8N" exif:GPSLongitude = '9,59.3E' photoshop:City="{PLACE} &gt; &quot;" xmp:Rating="4">
 <ext:LocationCreated><rdf:Bag><rdf:li ext:City="{PLACE}" ext:Note="a > b"/></rdf:Bag></ext:LocationCreated>
 <photoshop:State>{PLACE}</photoshop:State><photoshop:Country/>
 <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Kept title</rdf:li></rdf:Alt></dc:title>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()

IPTC = b"".join(
    b"\x1c\x02" + bytes([dataset]) + struct.pack(">H", len(value)) + value
    for dataset, value in (
        (5, b"Kept object"),
        (90, PLACE.encode()),
        (101, b"Germany" + PLACE.encode()),
        (25, b"Kept key"),
    )
)


def resources(iptc: bytes = IPTC) -> bytes:
    """Return Photoshop image resources with IPTC data and their digest."""
    digest = hashlib.md5(iptc, usedforsecurity=False).digest()
    return b"".join(
        b"8BIM" + struct.pack(">HHI", kind, 0, len(content)) + content + bytes(len(content) % 2)
        for kind, content in ((0x0404, iptc), (0x0425, digest))
    )


def exif_bytes(*, maker_note: bytes = b"Canon " + PLACE.encode()) -> bytes:
    data = exif()
    data.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = maker_note
    data.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = b"ASCII\0\0\0" + PLACE.encode()
    return data.tobytes()


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def extended_xmp(packet: bytes) -> tuple[bytes, bytes]:
    """Return a main packet that names an extended one, and the two segments with the extended one."""
    guid = hashlib.md5(packet, usedforsecurity=False).hexdigest().upper().encode()
    main = XMP.replace(b'xmp:Rating="4"', b'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="' + guid + b'"')
    half = len(packet) // 2
    parts = [(0, packet[:half]), (half, packet[half:])]
    header = b"http://ns.adobe.com/xmp/extension/\0" + guid
    return main, b"".join(segment(0xE1, header + struct.pack(">II", len(packet), i) + part) for i, part in parts)


def jpeg_file(*, trailer: bytes = b"") -> bytes:
    """Return a JPEG file with EXIF data, XMP packets, IPTC data, an unknown segment, and a second image."""
    main, extended = extended_xmp(
        XMP.replace(b"<photoshop:Country/>", b"<xmp:Label>Kept label</xmp:Label>" + b" " * 40)
    )
    image = jpeg(64, 48, exif=exif_bytes(), comment=b"Kept comment", icc_profile=b"A profile " * 20)
    added = [
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + main),
        extended,
        segment(0xED, b"Photoshop 3.0\0" + resources()),
        segment(0xE5, b"Unknown " + PLACE.encode()),
    ]
    second = jpeg(32, 24, exif=exif_bytes())
    end = 4 + int.from_bytes(image[4:6], "big")
    return image[:end] + b"".join(added) + image[end:] + second + trailer


def png_file() -> bytes:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    info.add_text("Title", "Kept title")
    info.add_text("exif:GPSLatitude", PLACE)
    for name, profile in (("exif", exif_bytes()), ("iptc", b"Photoshop 3.0\0" + resources()), ("xmp", XMP)):
        digits = profile.hex()
        lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
        info.add_text(f"Raw profile type {name}", f"\n{name} profile\n{len(profile):8}\n{lines}\n", zip=True)
    data = encoded(picture(64, 48), "PNG", exif=exif_bytes(), pnginfo=info, icc_profile=b"A profile " * 20)
    unknown = b"zzZz" + PLACE.encode()
    chunk = struct.pack(">I", len(unknown) - 4) + unknown + struct.pack(">I", zlib.crc32(unknown))
    return data[:33] + chunk + data[33:] + PLACE.encode()


def webp_file() -> bytes:
    data = encoded(picture(64, 48), "WEBP", exif=exif_bytes(), xmp=XMP, icc_profile=b"A profile " * 20)
    unknown = b"UNKN" + struct.pack("<I", len(PLACE)) + PLACE.encode()
    return b"RIFF" + struct.pack("<I", len(data) - 8 + len(unknown)) + data[8:] + unknown


def gif_file() -> bytes:
    data = encoded(picture(64, 48), "GIF", comment=b"Kept comment")
    magic = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    packet = b"\x21\xff\x0bXMP DataXMP" + XMP + magic
    unknown = b"\x21\xff\x0bMGKIPTC0000" + bytes([len(PLACE)]) + PLACE.encode() + b"\0"
    start = 13 + (3 << (data[10] & 7) + 1)
    return data[:start] + packet + unknown + data[start:] + PLACE.encode()


def heic_file() -> bytes:
    output = io.BytesIO()
    image = pillow_heif.from_pillow(picture(64, 48))
    image.info.update({"exif": exif_bytes(), "xmp": XMP})
    image.save(output, quality=50)
    return output.getvalue() + box(b"uuid", bytes(16) + PLACE.encode())


def avif_file() -> bytes:
    data = encoded(picture(64, 48), "AVIF", exif=exif_bytes(), xmp=XMP, icc_profile=b"A profile " * 20)
    return data + box(b"mpvd", PLACE.encode())


FILES = {
    "jpeg": jpeg_file,
    "png": png_file,
    "webp": webp_file,
    "gif": gif_file,
    "heic": heic_file,
    "avif": avif_file,
}


def pixels(data: bytes) -> tuple[tuple[int, int], bytes]:
    pillow_heif.register_heif_opener()
    with Image.open(io.BytesIO(data)) as image:
        return image.size, image.convert("RGBA").tobytes()
