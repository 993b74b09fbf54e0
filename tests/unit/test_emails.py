"""Tests of how e-mail addresses are compared."""

from __future__ import annotations

import pytest

from app.domain.emails import normalize


@pytest.mark.parametrize("email", [" Ada@Example.COM ", "\uff41da@example.com"], ids=["case and spaces", "full-width"])
def test_addresses_that_differ_only_in_case_or_unicode_form_are_equal(email: str):
    assert normalize(email) == normalize("ada@example.com")


def test_different_addresses_are_not_equal():
    assert normalize("ada@example.com") != normalize("ada@example.org")
