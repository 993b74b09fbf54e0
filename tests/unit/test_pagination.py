"""Tests of the cursors of lists."""

from __future__ import annotations

import pytest

from app.common.pagination import Cursors
from app.common.signing import derive_key
from app.domain.accounts import User
from app.domain.errors import CursorInvalid

ADA, BOB = User("ada"), User("bob")
ID = "01a1fd1d-7f5c-7bcd-b8fe-4a0126e30b81"


def make_cursors(purpose: str = "cursor") -> Cursors:
    return Cursors(derive_key("s" * 32, purpose))


def test_a_cursor_is_decoded_to_the_id_it_was_made_of():
    assert make_cursors().decode(ADA, make_cursors().encode(ADA, ID)) == ID


@pytest.mark.parametrize("cursor", [None, ""])
def test_without_a_cursor_the_list_starts_at_its_first_page(cursor: str | None):
    assert make_cursors().decode(ADA, cursor) is None


def test_a_cursor_needs_no_escaping_in_a_query():
    cursor = make_cursors().encode(ADA, ID)
    assert cursor.replace("-", "").replace("_", "").replace(".", "").isalnum()


def test_a_cursor_of_another_user_is_invalid():
    with pytest.raises(CursorInvalid):
        make_cursors().decode(BOB, make_cursors().encode(ADA, ID))


def test_a_cursor_of_another_list_is_invalid():
    with pytest.raises(CursorInvalid):
        make_cursors("job-cursor").decode(ADA, make_cursors().encode(ADA, ID))


def test_a_cursor_with_any_character_changed_is_invalid():
    cursors = make_cursors()
    cursor = cursors.encode(ADA, ID)
    # The last character encodes only four bits, so some changes of it have no meaning.
    for position in range(len(cursor) - 1):
        changed = cursor[:position] + ("A" if cursor[position] != "A" else "B") + cursor[position + 1 :]
        with pytest.raises(CursorInvalid):
            cursors.decode(ADA, changed)


@pytest.mark.parametrize("cursor", [".", "a", "a.b", "ü.x", "\ud800", "\0", " ", "x" * 100_000, "..", ID])
def test_a_text_that_is_not_a_cursor_is_invalid(cursor: str):
    with pytest.raises(CursorInvalid):
        make_cursors().decode(ADA, cursor)


@pytest.mark.parametrize("affix", [".", " ", "A"])
def test_a_cursor_with_something_added_is_invalid(affix: str):
    cursors = make_cursors()
    cursor = cursors.encode(ADA, ID)
    for changed in (affix + cursor, cursor + affix):
        with pytest.raises(CursorInvalid):
            cursors.decode(ADA, changed)
