"""The contract of every implementation of Accounts: local, Firebase, and Firebase on its emulator if it is running."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from firebase_admin import _token_gen

from app.auth.firebase import open_firebase_accounts
from app.auth.invitations import Invitations
from app.auth.local_auth import open_local_auth
from app.common.rate_limit import RateLimiter
from app.domain.accounts import Tokens
from app.domain.errors import (
    CredentialsInvalid,
    EmailInvalid,
    EmailTaken,
    PasswordWeak,
    RefreshTokenInvalid,
    TokenInvalid,
)
from app.ports.auth import Accounts
from app.tables.sqlite import SqliteAccountTable, SqliteCounterTable, open_sqlite
from tests.fake_identity_toolkit import API_KEY, ToFake, fake_identity_toolkit
from tests.reconcile_helpers import system_clock

PASSWORD = "correct horse battery"
EMULATOR = "FIREBASE_AUTH_EMULATOR_HOST"
EMULATOR_HOST = os.environ.get(EMULATOR, "")


@asynccontextmanager
async def local(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with (
        open_sqlite(tmp_path / "accounts.sqlite") as database,
        open_local_auth(
            SqliteAccountTable(database),
            limiter=RateLimiter(SqliteCounterTable(database), key=b"key", clock=system_clock),
            invitations=Invitations(SqliteCounterTable(database), secret_key="s" * 32, clock=system_clock),
            registration="open",
            secret_key="s" * 32,
            access_token_seconds=1800,
            clock=system_clock,
        ) as auth,
    ):
        yield auth.accounts


@asynccontextmanager
async def firebase(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Accounts]:
    monkeypatch.delenv(EMULATOR, raising=False)
    async with AsyncExitStack() as stack:
        fake = stack.enter_context(fake_identity_toolkit("demo-images"))
        monkeypatch.setattr(_token_gen, "ID_TOKEN_CERT_URI", fake.certificate_url)
        client = await stack.enter_async_context(httpx.AsyncClient(transport=ToFake(fake)))
        yield await stack.enter_async_context(
            open_firebase_accounts(client, project_id="demo-images", api_key=API_KEY, emulator_host=None)
        )


@asynccontextmanager
async def emulator(host: str) -> AsyncIterator[Accounts]:
    async with (
        httpx.AsyncClient() as client,
        open_firebase_accounts(client, project_id="demo-images", api_key="any", emulator_host=host) as accounts,
    ):
        yield accounts


@pytest.fixture(params=["local", "firebase", *(["emulator"] if EMULATOR_HOST else [])])
async def accounts(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Accounts]:
    match request.param:
        case "local":
            opened = local(tmp_path)
        case "firebase":
            opened = firebase(monkeypatch)
        case _:
            opened = emulator(EMULATOR_HOST)
    async with opened as accounts:
        yield accounts


@pytest.fixture
def email() -> str:
    """Return a new address for each test, because the emulator stores its accounts."""
    return f"anna-{uuid4().hex}@example.com"


async def register(accounts: Accounts, email: str, *, display_name: str | None = None) -> Tokens:
    _, tokens = await accounts.register(email=email, password=PASSWORD, display_name=display_name, client="127.0.0.1")
    return tokens


async def test_register_returns_the_profile_of_its_token(accounts: Accounts, email: str) -> None:
    profile, tokens = await accounts.register(email=email, password=PASSWORD, display_name="Anna", client="127.0.0.1")
    assert (profile.email, profile.display_name) == (email, "Anna")
    user = await accounts.authenticate(tokens.access_token)
    assert (user.id, user.email) == (profile.id, email)
    assert await accounts.profile(tokens.access_token) == profile
    assert 0 < tokens.expires_in <= 3600


async def test_register_without_a_display_name_sets_none(accounts: Accounts, email: str) -> None:
    tokens = await register(accounts, email)
    assert (await accounts.profile(tokens.access_token)).display_name is None


@pytest.mark.parametrize("change", [str, str.upper], ids=["same", "upper case"])
async def test_second_registration_of_an_address_is_rejected(accounts: Accounts, email: str, change: type[str]) -> None:
    await register(accounts, email)
    with pytest.raises(EmailTaken):
        await register(accounts, change(email))


async def test_register_needs_an_email_address(accounts: Accounts) -> None:
    with pytest.raises(EmailInvalid):
        await register(accounts, "anna")


async def test_register_refuses_a_short_password_and_says_why(accounts: Accounts, email: str) -> None:
    with pytest.raises(PasswordWeak, match="characters"):
        await accounts.register(email=email, password="Zq9!x", display_name=None, client="127.0.0.1")


async def test_sign_in_gives_tokens_of_the_same_user(accounts: Accounts, email: str) -> None:
    registered = await register(accounts, email)
    tokens = await accounts.sign_in(email=email, password=PASSWORD, client="127.0.0.1")
    user, same = [await accounts.authenticate(each.access_token) for each in (registered, tokens)]
    assert (user.id, user.email) == (same.id, same.email)


async def test_sign_in_has_the_same_error_for_wrong_password_and_unknown_account(
    accounts: Accounts, email: str
) -> None:
    await register(accounts, email)
    with pytest.raises(CredentialsInvalid) as wrong:
        await accounts.sign_in(email=email, password="wrong horse battery", client="127.0.0.1")
    with pytest.raises(CredentialsInvalid) as unknown:
        await accounts.sign_in(email=f"b{email}", password=PASSWORD, client="127.0.0.1")
    assert wrong.value.detail == unknown.value.detail


async def test_sign_in_with_something_else_than_an_address_fails_like_any_other(accounts: Accounts) -> None:
    with pytest.raises(CredentialsInvalid):
        await accounts.sign_in(email="anna", password=PASSWORD, client="127.0.0.1")


async def test_sign_in_without_a_password_fails_like_any_other(accounts: Accounts, email: str) -> None:
    await register(accounts, email)
    with pytest.raises(CredentialsInvalid):
        await accounts.sign_in(email=email, password="", client="127.0.0.1")


async def test_refresh_gives_tokens_of_the_same_user(accounts: Accounts, email: str) -> None:
    registered = await register(accounts, email)
    tokens = await accounts.refresh(registered.refresh_token)
    user, same = [await accounts.authenticate(each.access_token) for each in (registered, tokens)]
    assert (user.id, user.email) == (same.id, same.email)
    await accounts.refresh(tokens.refresh_token)


@pytest.mark.parametrize("token", ["x", "a.b.c", "\N{GRINNING FACE}", "x" * 100_000])
async def test_refresh_rejects_other_tokens(accounts: Accounts, token: str) -> None:
    with pytest.raises(RefreshTokenInvalid):
        await accounts.refresh(token)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\N{GRINNING FACE}", "eyJ9.eyJ9.eyJ9", "x" * 100_000])
async def test_authenticate_rejects_invalid_tokens(accounts: Accounts, token: str) -> None:
    with pytest.raises(TokenInvalid):
        await accounts.authenticate(token)
    with pytest.raises(TokenInvalid):
        await accounts.profile(token)


async def test_refresh_token_is_not_an_access_token(accounts: Accounts, email: str) -> None:
    tokens = await register(accounts, email)
    with pytest.raises(TokenInvalid):
        await accounts.authenticate(tokens.refresh_token)


async def test_a_deleted_account_cannot_be_refreshed(accounts: Accounts, email: str) -> None:
    tokens = await register(accounts, email)
    user = await accounts.authenticate(tokens.access_token)
    await accounts.authorize_deletion(tokens.access_token)
    await accounts.delete_account(user.id)
    with pytest.raises(RefreshTokenInvalid):
        await accounts.refresh(tokens.refresh_token)


async def test_address_of_a_removed_account_is_available(accounts: Accounts, email: str) -> None:
    tokens = await register(accounts, email)
    user = await accounts.authenticate(tokens.access_token)
    for _ in range(2):
        await accounts.authorize_deletion(tokens.access_token)
    for _ in range(2):
        await accounts.delete_account(user.id)
    with pytest.raises(CredentialsInvalid):
        await accounts.sign_in(email=email, password=PASSWORD, client="127.0.0.1")
    again = await register(accounts, email)
    assert (await accounts.authenticate(again.access_token)).id != user.id


async def test_only_a_token_of_its_own_closes_an_account(accounts: Accounts) -> None:
    with pytest.raises(TokenInvalid):
        await accounts.authorize_deletion("not a token")
