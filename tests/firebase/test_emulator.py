"""FirebaseAccounts against Google's own emulator, and with a token of Google's own SDK."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx
import pytest

from app.auth.firebase import FirebaseAccounts, open_firebase_accounts
from app.domain.accounts import User
from app.domain.errors import AccountDisabled, AppError, CredentialsInvalid, RefreshTokenInvalid, TokenInvalid
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


async def test_a_disabled_a_revoked_and_a_deleted_user_are_refused(emulator: Emulator) -> None:
    async with (
        httpx.AsyncClient(timeout=10) as client,
        open_firebase_accounts(
            client, project_id=emulator.project_id, api_key="any", emulator_host=emulator.host, checks_revoked=True
        ) as accounts,
    ):

        async def administer(method: str, **body: object) -> None:
            url = f"http://{emulator.host}/identitytoolkit.googleapis.com/v1/projects/{emulator.project_id}/accounts"
            response = await client.post(f"{url}:{method}", json=body, headers={"Authorization": "Bearer owner"})
            response.raise_for_status()

        changes: dict[type[AppError], Callable[[str], Awaitable[None]]] = {
            AccountDisabled: lambda user_id: administer("update", localId=user_id, disableUser=True),
            TokenInvalid: lambda user_id: administer("delete", localId=user_id),
        }
        for expected, change in changes.items():
            email = f"anna-{uuid4().hex}@example.com"
            profile, tokens = await accounts.register(
                email=email, password=PASSWORD, display_name=None, client="127.0.0.1"
            )
            user = await accounts.authenticate(tokens.access_token)
            await accounts.require_active(user, tokens.access_token)
            await change(profile.id)
            accounts._active.clear()  # as after a minute
            with pytest.raises(expected):
                await accounts.require_active(user, tokens.access_token)

        profile, tokens = await accounts.register(
            email=f"anna-{uuid4().hex}@example.com", password=PASSWORD, display_name=None, client="127.0.0.1"
        )
        await administer("update", localId=profile.id, validSince=str(int(time.time()) + 5))
        with pytest.raises(TokenInvalid):
            await accounts.require_active(User(profile.id), tokens.access_token)
