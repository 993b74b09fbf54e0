"""Tests of the Content-Disposition header for filenames of any kind."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.common.content_disposition import attachment


def test_a_plain_filename_is_not_changed() -> None:
    assert attachment("beach (1).jpg") == 'attachment; filename="beach (1).jpg"'


@pytest.mark.parametrize(
    "filename, header",
    [
        ("für Élise.png", "attachment; filename=\"f_r _lise.png\"; filename*=UTF-8''f%C3%BCr%20%C3%89lise.png"),
        ("写真.jpg", "attachment; filename=\"__.jpg\"; filename*=UTF-8''%E5%86%99%E7%9C%9F.jpg"),
        ('a"b.jpg', "attachment; filename=\"a_b.jpg\"; filename*=UTF-8''a%22b.jpg"),
        ("100%41.jpg", "attachment; filename=\"100_41.jpg\"; filename*=UTF-8''100%2541.jpg"),
        ("lone \ud800.jpg", "attachment; filename=\"lone _.jpg\"; filename*=UTF-8''lone%20%3F.jpg"),
    ],
)
def test_another_filename_is_encoded_and_preceded_by_a_plain_one(filename: str, header: str) -> None:
    assert attachment(filename) == header


@pytest.mark.parametrize(
    "filename, header",
    [
        ("a\r\nSet-Cookie: b=c", 'attachment; filename="a__Set-Cookie: b=c"'),
        ("../..\\x.jpg", 'attachment; filename=".._.._x.jpg"'),
        ("gpj\u202e.exe", 'attachment; filename="gpj_.exe"'),
    ],
)
def test_unsafe_characters_are_replaced(filename: str, header: str) -> None:
    assert attachment(filename) == header


@given(st.text(st.characters()))
def test_the_value_for_any_filename_is_one_line_of_printable_ascii(filename: str) -> None:
    value = attachment(filename)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"], exclude_characters="/\\")))
def test_a_safe_filename_can_be_decoded_without_loss(filename: str) -> None:
    value = attachment(filename)
    _, star, encoded = value.partition("filename*=UTF-8''")
    assert (unquote(encoded) if star else value.split('"')[1]) == filename
