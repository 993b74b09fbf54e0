"""Images that the service must accept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from PIL import Image, PngImagePlugin

from tests.corpus.case import Case
from tests.corpus.files import FORMATS, RED, UPRIGHT, animation, chunk, encoded_as, exif, heic, png, png_with, quadrants
from tests.pictures import encoded, picture

SECRET = b"SECRET"
WITH_ORIENTATION = ("JPEG", "PNG", "WEBP", "AVIF", "HEIC")


def valid_cases() -> Iterator[Case]:
    for image_format in FORMATS:
        name = f"valid.{image_format.lower()}"
        yield Case(name, partial(encoded_as, picture(640, 480), image_format), size=(640, 480))
        one_pixel = Image.new("RGB", (1, 1), RED)
        yield Case(f"one-pixel-{name}", partial(encoded_as, one_pixel, image_format), size=(1, 1))
    yield from modes()
    yield from transparent()
    yield from oriented()
    yield from animated()
    yield from with_metadata()
    yield from at_limits()


def modes() -> Iterator[Case]:
    jpegs = {
        "progressive": encoded(picture(320, 200), "JPEG", progressive=True),
        "grayscale": encoded(picture(320, 200, mode="L"), "JPEG"),
        "cmyk": encoded(picture(320, 200, mode="CMYK"), "JPEG"),
        "without-subsampling": encoded(picture(320, 200), "JPEG", subsampling=0),
    }
    for name, data in jpegs.items():
        yield Case(f"{name}.jpg", partial(bytes, data), size=(320, 200))
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        image = picture(320, 200, mode="L" if mode == "I;16" else mode).convert(mode)
        yield Case(f"mode-{mode.replace(';', '-')}.png", partial(encoded, image, "PNG"), size=(320, 200))
    yield Case("lossless.webp", partial(encoded, picture(320, 200), "WEBP", lossless=True), size=(320, 200))
    yield Case("png-named.jpg", partial(encoded, picture(320, 200), "PNG"), size=(320, 200))


def transparent() -> Iterator[Case]:
    image = picture(300, 200, mode="RGBA")
    image.putalpha(Image.radial_gradient("L").resize((300, 200)))
    for image_format in ("PNG", "WEBP", "AVIF", "HEIC"):
        make = partial(encoded_as, image, image_format)
        yield Case(f"transparent.{image_format.lower()}", make, size=(300, 200), is_transparent=True)
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.paste(1, (0, 0, 20, 40))
    for image_format in ("PNG", "GIF"):
        make = partial(encoded, palette, image_format, transparency=0)
        yield Case(f"transparent-palette.{image_format.lower()}", make, size=(40, 40), is_transparent=True)


def oriented() -> Iterator[Case]:
    for image_format in WITH_ORIENTATION:
        for orientation, colors in UPRIGHT.items():
            yield Case(
                f"orientation-{orientation}.{image_format.lower()}",
                partial(encoded_as, quadrants(), image_format, exif=exif(orientation)),
                size=(96, 64) if orientation <= 4 else (64, 96),
                quadrants=colors,
            )
    for orientation in (0, 9, 65535):
        yield Case(
            f"orientation-{orientation}.jpg",
            partial(encoded, quadrants(), "JPEG", exif=exif(orientation)),
            size=(96, 64),
            quadrants=UPRIGHT[1],
        )


def animated() -> Iterator[Case]:
    for image_format in ("GIF", "PNG", "WEBP", "AVIF"):
        name, make = f"animation.{image_format.lower()}", partial(animation, image_format, 5)
        yield Case(name, make, size=(60, 40), quadrants=(RED,) * 4)
    image = picture(60, 40)
    several = partial(encoded, image, "MPO", save_all=True, append_images=[image] * 3)
    yield Case("several-images.mpo", several, size=(60, 40))


def with_metadata() -> Iterator[Case]:
    """Yield images with a position and secrets, which no thumbnail may contain."""
    forbidden = (SECRET, b"GPS", b"Exif\0\0", b"exif:")
    data = exif(1)
    data[0x010E] = SECRET.decode()
    data.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRET.decode())
    xmp = b"<x:xmpmeta><rdf:Description exif:GPSLatitude='52,31N' dc:creator='SECRET'/></x:xmpmeta>"
    image = quadrants()
    files: dict[str, Callable[[], bytes]] = {
        "metadata.jpg": partial(encoded, image, "JPEG", exif=data, xmp=xmp, comment=SECRET),
        "metadata.png": partial(encoded, image, "PNG", exif=data, pnginfo=text),
        "metadata.webp": partial(encoded, image, "WEBP", exif=data, xmp=xmp),
        "metadata.avif": partial(encoded, image, "AVIF", exif=data, xmp=xmp),
        "metadata.heic": partial(heic, image, exif=data),
        "comment.gif": partial(encoded, image, "GIF", comment=SECRET),
        "archive-after-the-image.jpg": lambda: encoded(image, "JPEG") + b"PK\x03\x04" + SECRET,
        "script-in-the-comment.jpg": partial(encoded, image, "JPEG", comment=b"<script>SECRET</script>"),
        "malformed-exif.jpg": partial(encoded, image, "JPEG", exif=b"Exif\0\0garbage"),
        "malformed-profile.png": partial(encoded, image, "PNG", icc_profile=b"garbage" * 20),
    }
    for name, make in files.items():
        yield Case(name, make, size=(96, 64), quadrants=UPRIGHT[1], forbidden=forbidden)
    chunks = b"".join(chunk(b"tEXt", b"Key\0%d" % number) for number in range(2000))
    yield Case("many-texts.png", partial(png_with, chunks, image), size=(96, 64), quadrants=UPRIGHT[1])


def at_limits() -> Iterator[Case]:
    """Yield images that are exactly as large as the limits allow."""
    yield Case("longest-side.png", partial(png, 16_384, 1, pixels=bytes(16_385)), size=(16_384, 1))
    yield Case("most-frames.gif", partial(animation, "GIF", 500, size=(8, 8)), size=(8, 8))
    yield Case("largest.png", lambda: png(10_000, 5_000, pixels=bytes(10_001 * 5_000)), size=(10_000, 5_000))
