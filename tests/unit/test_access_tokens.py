"""Tests of access tokens that are verified repeatedly."""

from __future__ import annotations

import pytest

from app.auth.access_tokens import AccessTokens
from app.domain.accounts import Account, User
from app.domain.errors import TokenExpired, TokenInvalid
from tests.unit.clock import NOON, ManualClock

ACCOUNT = Account(id="ada", email="ada@example.com", password_hash="", display_name=None, created_at=NOON)


def test_a_token_that_was_accepted_expires():
    clock = ManualClock()
    tokens = AccessTokens("s" * 32, lifetime_seconds=1800, clock=clock)
    token = tokens.issue(ACCOUNT, session_id="session")
    assert tokens.verify(token) == User("ada", "ada@example.com", "session")
    clock.advance(seconds=1799)
    assert tokens.verify(token) == User("ada", "ada@example.com", "session")
    clock.advance(seconds=1)
    with pytest.raises(TokenExpired):
        tokens.verify(token)


def test_a_token_that_was_accepted_is_invalid_before_it_was_issued():
    clock = ManualClock()
    tokens = AccessTokens("s" * 32, lifetime_seconds=1800, clock=clock)
    token = tokens.issue(ACCOUNT, session_id="session")
    tokens.verify(token)
    clock.advance(minutes=-1)
    with pytest.raises(TokenInvalid):
        tokens.verify(token)
