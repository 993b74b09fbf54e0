"""Tests of the ids of images, uploads and jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.ids import id_timestamp, is_id, new_id

VALID = "01a1fd1d-7f5c-7bcd-b8fe-4a0126e30b81"


def test_ids_are_unique_and_sort_by_time():
    ids = [new_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert all(map(is_id, ids))
    assert [i[:18] for i in ids] == sorted(i[:18] for i in ids)


def test_an_id_contains_the_time_at_which_it_was_generated():
    before = datetime.now(UTC)
    generated_at = id_timestamp(new_id())
    assert before - timedelta(milliseconds=1) < generated_at <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["", "x", VALID.upper(), VALID[:-1], f" {VALID}", "0" * 36])
def test_other_texts_are_not_ids(text: str):
    assert is_id(VALID)
    assert not is_id(text)
    with pytest.raises(ValueError, match="UUIDv7"):
        id_timestamp(text)
