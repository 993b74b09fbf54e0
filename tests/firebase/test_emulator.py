"""FirebaseAccounts against Google's own emulator, and with a token of Google's own SDK."""

from __future__ import annotations

from uuid import uuid4

import pytest

from app.auth.firebase import FirebaseAccounts
from app.domain.errors import CredentialsInvalid, RefreshTokenInvalid
from tests.firebase.conftest import Emulator, sdk_id_token

PASSWORD = "correct horse battery"


@pytest.fixture
def email() -> str:
    return f"anna-{uuid4().hex}@example.com"


async def test_sign_up_sign_in_and_refresh_are_the_same_user(accounts: FirebaseAccounts, email: str) -> None:
    profile, registered = await accounts.register(
        email=email, password=PASSWORD, display_name="Anna", client="127.0.0.1"
    )
    signed_in = await accounts.sign_in(email=email, password=PASSWORD, client="127.0.0.1")
    refreshed = await accounts.refresh(signed_in.refresh_token)
    for tokens in (registered, signed_in, refreshed):
        assert (await accounts.authenticate(tokens.access_token)).id == profile.id
        assert await accounts.profile(tokens.access_token) == profile
    assert profile.display_name == "Anna"


async def test_wrong_password_is_refused(accounts: FirebaseAccounts, email: str) -> None:
    await accounts.register(email=email, password=PASSWORD, display_name=None, client="127.0.0.1")
    with pytest.raises(CredentialsInvalid):
        await accounts.sign_in(email=email, password="wrong horse battery", client="127.0.0.1")


async def test_unknown_refresh_token_is_refused(accounts: FirebaseAccounts) -> None:
    with pytest.raises(RefreshTokenInvalid):
        await accounts.refresh("unknown")


async def test_an_id_token_of_the_sdk_is_taken(accounts: FirebaseAccounts, emulator: Emulator, email: str) -> None:
    token = await sdk_id_token(emulator, email=email, password=PASSWORD)
    user = await accounts.authenticate(token)
    assert user.email == email
    assert (await accounts.profile(token)).id == user.id
