from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.core import filenames, signing
from app.core.emails import normalise
from app.core.ids import is_id, made_at, new_id


def test_ids_are_uuids_that_sort_by_time_and_tell_it():
    ids = [new_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert all(map(is_id, ids))
    assert [i[:18] for i in ids] == sorted(i[:18] for i in ids)
    assert abs(made_at(ids[-1]) - datetime.now(UTC)) < timedelta(seconds=5)


_ID = "01a1fd1d-7f5c-7bcd-b8fe-4a0126e30b81"


def test_what_is_spoilt_below_is_an_id():
    assert is_id(_ID)


@pytest.mark.parametrize("text", ["", "x", _ID.upper(), _ID[:-1], f" {_ID}", "0" * 36])
def test_other_texts_are_no_ids(text: str):
    assert not is_id(text)
    with pytest.raises(ValueError, match="UUIDv7"):
        made_at(text)


@pytest.mark.parametrize(
    "given, shown",
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
def test_filenames_are_cleaned_for_show(given: str | None, shown: str):
    assert filenames.clean(given) == shown


def test_a_cleaned_name_stays_as_it_is():
    for name in ("a" * 400 + ".jpeg", " x ", "a/b", "\u200bq"):
        once = filenames.clean(name)
        assert filenames.clean(once) == once


def test_what_is_sealed_comes_back_and_nothing_else_does():
    key, other = signing.derive_key("s" * 32, "cursor"), signing.derive_key("s" * 32, "url")
    sealed = signing.seal(key, b"message")
    assert signing.unseal(key, sealed) == b"message"
    assert signing.unseal(other, sealed) is None
    for at in range(len(sealed)):
        changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        assert signing.unseal(key, changed) is None, changed
    for made_up in ("", ".", "a", "a.b", sealed + "=", sealed + ".", f" {sealed}", "ü.x"):
        assert signing.unseal(key, made_up) is None, made_up


def test_addresses_that_differ_in_case_or_form_are_one():
    assert normalise(" Ada@Example.COM ") == normalise("ada@example.com")
    assert normalise("\uff41da@example.com") == normalise("ada@example.com")
