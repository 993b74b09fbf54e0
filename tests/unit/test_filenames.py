"""Tests of how filenames of clients are made safe to display."""

from __future__ import annotations

import pytest

from app.domain import filenames
from app.domain.filenames import clean


@pytest.mark.parametrize(
    "filename, expected",
    [
        ("beach.jpg", "beach.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\win.ini", "win.ini"),
        ("a.png\r\nX-Evil: 1", "a.pngX-Evil: 1"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\x00.png", "a.png"),
        ("e\u0301.png", "é.png"),
        ("👨\u200d👩\u200d👧.png", "👨\u200d👩\u200d👧.png"),
        ("\ud800.png", ".png"),
        ("", "upload"),
        (None, "upload"),
        ("   ", "upload"),
        ("...", "upload"),
        ("photos/", "upload"),
        ("x" * 300 + ".png", "x" * 251 + ".png"),
        ("x" * 300, "x" * 255),
        (".htaccess", ".htaccess"),
    ],
)
def test_filename_is_made_safe_to_display(filename: str | None, expected: str):
    assert clean(filename) == expected


@pytest.mark.parametrize("filename", ["a" * 400 + ".jpeg", " x ", "a/b", "\u200bq"])
def test_a_clean_filename_is_not_changed(filename: str):
    cleaned = clean(filename)
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    "filename, downloaded",
    [
        ("photo.jpg", "photo.jpg"),
        ("photo.JPEG", "photo.JPEG"),
        ("invoice.html", "invoice.html.jpg"),
        ("photo.PNG", "photo.jpg"),
        ("photo", "photo.jpg"),
        ("jpg", "jpg.jpg"),
    ],
)
def test_a_download_has_an_extension_of_its_format(filename: str, downloaded: str):
    assert filenames.with_extension(filename, "image/jpeg") == downloaded
