"""Tests of message authentication codes."""

from __future__ import annotations

import pytest

from app.common.signing import derive_key, sign, verify

KEY = derive_key("s" * 32, "object-url")
TAG = sign(KEY, b"message")


def test_a_tag_is_valid_for_its_message():
    assert verify(KEY, b"message", TAG)


def test_a_tag_is_url_safe():
    assert len(TAG) == 22
    assert TAG.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("position", range(len(TAG)))
def test_a_tag_with_any_character_changed_is_invalid(position: int):
    changed = TAG[:position] + ("A" if TAG[position] != "A" else "B") + TAG[position + 1 :]
    assert not verify(KEY, b"message", changed)


@pytest.mark.parametrize("tag", ["", TAG[:-1], TAG + "=", f" {TAG}", "ü" * 22, "\ud800"])
def test_another_text_is_not_a_valid_tag(tag: str):
    assert not verify(KEY, b"message", tag)


def test_a_tag_is_invalid_for_another_message():
    assert not verify(KEY, b"massage", TAG)


def test_a_tag_is_invalid_for_another_purpose_and_another_secret():
    assert not verify(derive_key("s" * 32, "cursor"), b"message", TAG)
    assert not verify(derive_key("t" * 32, "object-url"), b"message", TAG)


def test_a_derived_key_has_32_bytes():
    assert len(KEY) == 32
