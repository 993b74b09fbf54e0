"""What exiftool finds in files whose position or metadata was removed, for generated files and the corpus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.renderings import Stripping
from app.imaging.stripping import strip
from tests.stripping_files import FILES, pixels

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "good"
PATTERNS = ("*.jpg", "*.mpo", "*.png", "*.webp", "*.gif", "*.heic", "*.avif")
MAX_BYTES = 2 << 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("exiftool"), reason="needs exiftool (Debian: libimage-exiftool-perl)"),
]

LOCATION = re.compile(
    r"gps|latitude|longt?itude|altitude|location|^(city|state|country|countrycode|sub-?location|province-?state)",
    re.IGNORECASE,
)
ABOUT_THE_FILE = ("SourceFile", "ExifTool", "System", "File", "Composite")
STRUCTURE = (*ABOUT_THE_FILE, "JFIF", "Adobe", "ICC", "PNG", "RIFF", "GIF", "QuickTime", "Meta", "Track")
DISPLAYED = {"Orientation", "ColorSpace", "InteropIndex", "InteropVersion"}
# Offsets for Apple's decoder, the digest of the IPTC data, the name of the extended XMP packet, and what exiftool adds.
DERIVED = {"AppleDataOffsets", "IPTCDigest", "CurrentIPTCDigest", "HasExtendedXMP", "ExifByteOrder", "XMPToolkit"}
MAKERS = ("Canon", "Nikon", "Nintendo", "Sony", "Panasonic", "Olympus", "Samsung", "FujiFilm", "MakerNotes", "DJI")


def tags(path: Path) -> dict[str, Any]:
    command = ["exiftool", "-json", "-a", "-G1:4", "-ee3", "-u", str(path)]
    output = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    (found,) = json.loads(output)
    return {name: value for name, value in found.items() if not name.startswith(ABOUT_THE_FILE)}


def name_of(tag: str) -> str:
    return tag.rpartition(":")[2]


def is_place(tag: str) -> bool:
    name = name_of(tag)
    # The altitude of a light source, and the part of the picture that shows its subject, are no positions.
    return (bool(LOCATION.search(name)) or tag.startswith("GPS")) and name not in ("GlobalAltitude", "SubjectLocation")


def samples() -> Iterator[Path]:
    for pattern in PATTERNS:
        yield from (path for path in sorted(CORPUS.glob(pattern)) if path.stat().st_size < MAX_BYTES)


def check(original: Path, folder: Path) -> None:
    data = original.read_bytes()
    before = tags(original)
    for stripping in Stripping:
        stripped = strip(data, stripping)
        path = folder / f"{stripping}{original.suffix}"
        path.write_bytes(stripped)
        after = tags(path)
        assert not [tag for tag in after if is_place(tag)]
        assert pixels(stripped) == pixels(data)
        if stripping is Stripping.LOCATION:
            expected = {t: v for t, v in before.items() if not is_place(t) and not is_lost(t)}
            assert {t: v for t, v in after.items() if t in expected} == expected
        else:
            assert not [t for t in after if not t.startswith(STRUCTURE) and name_of(t) not in DISPLAYED]


def is_lost(tag: str) -> bool:
    """Return whether the tag may change or disappear with the position."""
    name = name_of(tag)
    return tag.startswith(MAKERS) or name in DERIVED or "Unknown" in name or name == "MotionPhotoVideo"


@pytest.mark.parametrize("name", FILES)
def test_generated_file(name: str, tmp_path: Path):
    original = tmp_path / f"original.{name}"
    original.write_bytes(FILES[name]())
    assert any(is_place(tag) for tag in tags(original))
    check(original, tmp_path)


@pytest.mark.skipif(not CORPUS.exists(), reason="needs the corpus")
@pytest.mark.parametrize("path", list(samples()), ids=lambda path: path.name)
def test_file_of_the_corpus(path: Path, tmp_path: Path):
    try:
        pixels(path.read_bytes())
    except (OSError, ValueError, SyntaxError):
        pytest.skip("the decoder of this test cannot read it")
    check(path, tmp_path)
