"""A file name of any kind becomes one safe header value."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.content_disposition import attachment


def test_a_plain_name_stands_as_it_is() -> None:
    assert attachment("beach (1).jpg") == 'attachment; filename="beach (1).jpg"'


@pytest.mark.parametrize(
    "filename, header",
    [
        ("für Élise.png", "attachment; filename=\"f_r _lise.png\"; filename*=UTF-8''f%C3%BCr%20%C3%89lise.png"),
        ("写真.jpg", "attachment; filename=\"__.jpg\"; filename*=UTF-8''%E5%86%99%E7%9C%9F.jpg"),
        ('a"b.jpg', "attachment; filename=\"a_b.jpg\"; filename*=UTF-8''a%22b.jpg"),
        ("100%41.jpg", "attachment; filename=\"100_41.jpg\"; filename*=UTF-8''100%2541.jpg"),
        ("a\r\nSet-Cookie: b=c", 'attachment; filename="a__Set-Cookie: b=c"'),
        ("../..\\x.jpg", 'attachment; filename=".._.._x.jpg"'),
        ("gpj\u202e.exe", 'attachment; filename="gpj_.exe"'),
        ("lone \ud800.jpg", "attachment; filename=\"lone _.jpg\"; filename*=UTF-8''lone%20%3F.jpg"),
    ],
)
def test_a_name_with_more_in_it_gets_a_plain_one_beside_it(filename: str, header: str) -> None:
    assert attachment(filename) == header


@given(st.text(st.characters()))
def test_whatever_the_name_the_value_is_one_line_of_printable_ascii(filename: str) -> None:
    value = attachment(filename)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"], exclude_characters="/\\")))
def test_a_clean_name_can_be_read_back_whole(filename: str) -> None:
    value = attachment(filename)
    _, star, encoded = value.partition("filename*=UTF-8''")
    assert (unquote(encoded) if star else value.split('"')[1]) == filename
