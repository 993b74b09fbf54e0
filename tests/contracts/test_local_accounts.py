"""What LocalAccounts does beyond the port: tokens, sessions and rate limits."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from app.auth import local as local_accounts
from app.auth.access_tokens import AccessTokens
from app.auth.invitations import Invitations
from app.auth.local import LocalAccounts
from app.auth.local_auth import open_local_auth
from app.auth.passwords import PARAMETERS, Passwords
from app.auth.sessions import Sessions
from app.auth.sign_in import SignIn
from app.common.rate_limit import RateLimiter
from app.common.signing import derive_key
from app.domain.accounts import Account, Session, Tokens
from app.domain.errors import (
    AccountDisabled,
    AppError,
    CredentialsInvalid,
    EmailInvalid,
    EmailTaken,
    InvitationInvalid,
    InvitationRequired,
    Overloaded,
    PasswordWeak,
    RefreshTokenInvalid,
    RegistrationClosed,
    TokenExpired,
    TokenInvalid,
    TooManyAttempts,
)
from app.domain.ids import new_id
from app.tables.sqlite import SqliteAccountTable, SqliteCounterTable, SqliteDatabase, open_sqlite
from tests.contracts.tables import make_account, make_session
from tests.reconcile_helpers import system_clock

SECRET = "s" * 32
EMAIL = "anna@example.com"
PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"
CHEAP = replace(PARAMETERS, memory_cost=8, time_cost=1)


class Watched(Passwords):
    checked = 0

    async def verify(self, password_hash: str | None, password: str) -> bool:
        self.checked += 1
        return await super().verify(password_hash, password)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.sqlite"


@pytest.fixture
async def database(database_path: Path) -> AsyncIterator[SqliteDatabase]:
    async with open_sqlite(database_path) as opened:
        yield opened


@pytest.fixture
def table(database: SqliteDatabase) -> SqliteAccountTable:
    return SqliteAccountTable(database)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def passwords(executor: ThreadPoolExecutor) -> Watched:
    return Watched(executor, parameters=CHEAP)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(database: SqliteDatabase, clock: Clock) -> RateLimiter:
    return RateLimiter(SqliteCounterTable(database), key=derive_key(SECRET, "attempts"), clock=clock)


@pytest.fixture
def invitations(database: SqliteDatabase, clock: Clock) -> Invitations:
    return Invitations(SqliteCounterTable(database), secret_key=SECRET, clock=clock)


@pytest.fixture
def make_accounts(
    table: SqliteAccountTable, limiter: RateLimiter, invitations: Invitations, passwords: Watched, clock: Clock
) -> Callable[..., LocalAccounts]:
    def make(**changes: Any) -> LocalAccounts:
        used, time = changes.pop("passwords", passwords), changes.pop("clock", clock)
        options: dict[str, Any] = {
            "limiter": limiter,
            "invitations": invitations,
            "registration": "open",
            "passwords": used,
            "sign_in": SignIn(table, passwords=used, limiter=limiter),
            "sessions": Sessions(table, secret_key=SECRET, clock=time),
            "access_tokens": AccessTokens(SECRET, lifetime_seconds=1800, clock=time),
            "clock": time,
        }
        return LocalAccounts(table, **(options | changes))

    return make


@pytest.fixture
def accounts(make_accounts: Callable[..., LocalAccounts]) -> LocalAccounts:
    return make_accounts()


async def register(accounts: LocalAccounts, *, email: str = EMAIL, client: str = "192.0.2.1") -> Tokens:
    _, tokens = await accounts.register(email=email, password=PASSWORD, display_name=None, client=client)
    return tokens


async def sign_in(
    accounts: LocalAccounts, *, email: str = EMAIL, password: str = PASSWORD, client: str = "192.0.2.1"
) -> Tokens:
    return await accounts.sign_in(email=email, password=password, client=client)


# Access tokens


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "sub": new_id(),
        "email": EMAIL,
        "iat": now,
        "exp": now + 60,
        "iss": "image-upload-service",
        "aud": "image-upload-service/api",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def hmac_signed(key: bytes, *, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm)


def signed(**changes: Any) -> str:
    return hmac_signed(derive_key(SECRET, "access-token"), **changes)


async def test_token_of_the_service_is_accepted(accounts: LocalAccounts) -> None:
    assert (await accounts.authenticate(signed())).email == EMAIL


# The tokens are created when the test runs, because they expire after a minute.
FORGED: dict[str, Callable[[], str]] = {
    "another algorithm": lambda: hmac_signed(derive_key(SECRET, "access-token") * 2, algorithm="HS512"),
    "no algorithm": lambda: jwt.encode(claims(), "", algorithm="none"),
    "RS256": lambda: jwt.encode(claims(), rsa.generate_private_key(65537, 2048), algorithm="RS256"),
    "another secret": lambda: hmac_signed(derive_key("t" * 32, "access-token")),
    "the key of another purpose": lambda: hmac_signed(derive_key(SECRET, "url")),
    "the secret as it is": lambda: hmac_signed(SECRET.encode()),
    "another audience": lambda: signed(aud="another-service"),
    "another issuer": lambda: signed(iss="another-service"),
    "issued in the future": lambda: signed(iat=int(time.time()) + 20),
    "no sub": lambda: signed(sub=None),
    "no email": lambda: signed(email=None),
    "no iat": lambda: signed(iat=None),
    "no exp": lambda: signed(exp=None),
    "no iss": lambda: signed(iss=None),
    "no aud": lambda: signed(aud=None),
    "another signature": lambda: signed()[:-4] + "AAAA",
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "parts reversed": lambda: ".".join(reversed(signed().split("."))),
    "nested header": lambda: f"{base64.urlsafe_b64encode(b'[' * 50_000).decode()}.e30.AAAA",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_token_with_one_invalid_claim_is_rejected(accounts: LocalAccounts, forge: Callable[[], str]) -> None:
    with pytest.raises(TokenInvalid):
        await accounts.authenticate(forge())


async def test_token_with_changed_claims_is_rejected(accounts: LocalAccounts) -> None:
    header, _, signature = signed().split(".")
    payload = base64.urlsafe_b64encode(json.dumps(claims(sub=new_id())).encode()).rstrip(b"=").decode()
    with pytest.raises(TokenInvalid):
        await accounts.authenticate(f"{header}.{payload}.{signature}")


async def test_expired_token_has_its_own_error(accounts: LocalAccounts) -> None:
    with pytest.raises(TokenExpired):
        await accounts.authenticate(signed(exp=int(time.time()) - 1))


async def test_token_of_a_machine_with_a_slightly_fast_clock_is_accepted(accounts: LocalAccounts) -> None:
    await accounts.authenticate(signed(iat=int(time.time()) + 8))


async def test_access_token_is_valid_for_its_stated_lifetime(accounts: LocalAccounts) -> None:
    tokens = await register(accounts)
    payload = jwt.decode(tokens.access_token, options={"verify_signature": False})
    assert payload["exp"] - payload["iat"] == tokens.expires_in == 1800


async def test_authenticate_does_not_read_the_table(accounts: LocalAccounts, database_path: Path) -> None:
    tokens = await register(accounts)
    with sqlite3.connect(database_path) as connection:
        connection.execute("DELETE FROM accounts")
    connection.close()
    await accounts.authenticate(tokens.access_token)
    with pytest.raises(TokenInvalid):
        await accounts.profile(tokens.access_token)
    with pytest.raises(RefreshTokenInvalid):
        await accounts.refresh(tokens.refresh_token)


# Refresh tokens


MINUTE = timedelta(seconds=60)


async def test_a_client_that_lost_the_response_refreshes_again(accounts: LocalAccounts, clock: Clock) -> None:
    first = await register(accounts)
    second = await accounts.refresh(first.refresh_token)
    clock.now += MINUTE - timedelta(seconds=1)
    repeated = await accounts.refresh(first.refresh_token)
    assert repeated.refresh_token == second.refresh_token != first.refresh_token
    await accounts.authenticate(repeated.access_token)
    await accounts.refresh(second.refresh_token)


@pytest.mark.parametrize("reason", ["a minute later", "its successor was used"])
async def test_a_refresh_token_that_is_used_later_ends_the_whole_session(
    accounts: LocalAccounts, clock: Clock, reason: str
) -> None:
    first = await register(accounts)
    second = await accounts.refresh(first.refresh_token)
    if reason == "a minute later":
        clock.now += MINUTE
    else:
        second = await accounts.refresh(second.refresh_token)
    for token in (first, second):
        with pytest.raises(RefreshTokenInvalid):
            await accounts.refresh(token.refresh_token)


async def test_a_refresh_token_that_is_used_twice_does_not_end_other_sessions(
    accounts: LocalAccounts, clock: Clock
) -> None:
    phone, laptop = await register(accounts), await sign_in(accounts)
    await accounts.refresh(phone.refresh_token)
    clock.now += MINUTE
    with pytest.raises(RefreshTokenInvalid):
        await accounts.refresh(phone.refresh_token)
    await accounts.refresh(laptop.refresh_token)


async def test_parallel_refreshes_with_one_token_return_the_same_token(accounts: LocalAccounts) -> None:
    token = (await register(accounts)).refresh_token
    refreshed = await asyncio.gather(*(accounts.refresh(token) for _ in range(10)))
    assert len({tokens.refresh_token for tokens in refreshed}) == 1
    await accounts.refresh(refreshed[0].refresh_token)


async def test_the_next_refresh_token_depends_on_the_secret(table: SqliteAccountTable, clock: Clock) -> None:
    ours, theirs = (Sessions(table, secret_key=secret, clock=clock) for secret in (SECRET, "t" * 32))
    assert ours._successor("account.session.secret") != theirs._successor("account.session.secret")


async def test_first_refresh_tokens_are_random(accounts: LocalAccounts) -> None:
    tokens = [await register(accounts), *[await sign_in(accounts) for _ in range(3)]]
    assert len({each.refresh_token.rpartition(".")[2][:20] for each in tokens}) == 4


@pytest.mark.parametrize("secret", ["A" * 43, "forged"])
async def test_knowing_the_ids_of_a_session_is_not_enough_to_end_it(accounts: LocalAccounts, secret: str) -> None:
    tokens = await register(accounts)
    other = (await sign_in(accounts)).refresh_token.rpartition(".")[2]
    ids = tokens.refresh_token.rpartition(".")[0]
    with pytest.raises(RefreshTokenInvalid):
        await accounts.refresh(f"{ids}.{secret if len(secret) == 43 else other}")
    await accounts.refresh(tokens.refresh_token)


async def test_a_refresh_token_of_an_earlier_version_is_exchanged(
    accounts: LocalAccounts, table: SqliteAccountTable
) -> None:
    account_id, session_id, _ = (await register(accounts)).refresh_token.split(".")
    token = f"{account_id}.{session_id}.{secrets.token_urlsafe(32)}"
    session = make_session(account_id, expires_at=datetime.now(UTC) + timedelta(days=1))
    await table.remove_session(account_id, session_id)
    await table.add_session(replace(session, id=session_id, token_hash=hashlib.sha256(token.encode()).hexdigest()))
    await accounts.refresh((await accounts.refresh(token)).refresh_token)


class Interrupted(SqliteAccountTable):
    """Runs `meanwhile` just before a session is added."""

    meanwhile: Callable[[str], Awaitable[object]]

    async def add_session(self, session: Session) -> None:
        await self.meanwhile(session.account_id)
        await super().add_session(session)


@pytest.mark.parametrize("change", ["the password is changed", "the account is disabled", "the account is deleted"])
async def test_a_sign_in_that_a_change_overtakes_leaves_no_session(
    database: SqliteDatabase, limiter: RateLimiter, invitations: Invitations, clock: Clock, change: str
) -> None:
    table = Interrupted(database)
    async with open_local_auth(
        table,
        limiter=limiter,
        invitations=invitations,
        registration="open",
        secret_key=SECRET,
        access_token_seconds=1800,
        clock=clock,
    ) as auth:
        await register(auth.accounts)

        async def meanwhile(account_id: str) -> None:
            match change:
                case "the password is changed":
                    token = auth.password_reset.operator_token(await account())
                    await auth.password_reset.confirm(token, new_password="another long passphrase")
                case "the account is disabled":
                    await table.edit_account(account_id, changes={"disabled_at": clock.now})
                    await table.remove_sessions(account_id)
                case _:
                    await table.remove_account(account_id)

        async def account() -> Account:
            found = await table.find_account_by_email(EMAIL)
            assert found
            return found

        account_id = (await account()).id
        table.meanwhile = meanwhile
        with pytest.raises((CredentialsInvalid, AccountDisabled)):
            await sign_in(auth.accounts)
        assert await table.sessions(account_id) == []


async def test_a_session_lasts_thirty_days_from_its_last_use(accounts: LocalAccounts, clock: Clock) -> None:
    tokens = await register(accounts)
    for _ in range(3):
        clock.now += timedelta(days=29)
        tokens = await accounts.refresh(tokens.refresh_token)
    clock.now += timedelta(days=30, seconds=1)
    with pytest.raises(RefreshTokenInvalid):
        await accounts.refresh(tokens.refresh_token)


async def test_a_session_ends_a_year_after_the_sign_in_even_if_it_is_used(
    accounts: LocalAccounts, clock: Clock
) -> None:
    tokens = await register(accounts)
    for _ in range(14):
        clock.now += timedelta(days=26)
        tokens = await accounts.refresh(tokens.refresh_token)
    clock.now += timedelta(days=1, seconds=1)
    with pytest.raises(RefreshTokenInvalid):
        await accounts.refresh(tokens.refresh_token)


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_refresh_token_with_an_exchanged_part_is_rejected(accounts: LocalAccounts, part: int) -> None:
    mine = (await register(accounts)).refresh_token.split(".")
    other = (await register(accounts, email="bert@example.com")).refresh_token.split(".")
    mine[part] = other[part]
    with pytest.raises(RefreshTokenInvalid):
        await accounts.refresh(".".join(mine))


@pytest.mark.parametrize("ids", ["anna.{good}", "{good}.session", "{good}#x.{good}", "../../{good}.{good}"])
async def test_a_refresh_token_with_malformed_ids_never_reaches_the_table(
    accounts: LocalAccounts, table: SqliteAccountTable, monkeypatch: pytest.MonkeyPatch, ids: str
) -> None:
    asked: list[str] = []

    async def find_account(account_id: str) -> None:
        asked.append(account_id)

    monkeypatch.setattr(table, "find_account", find_account)
    with pytest.raises(RefreshTokenInvalid):
        await accounts.refresh(f"{ids.format(good=new_id())}.{'s' * 43}")
    assert asked == []


async def test_tokens_and_passwords_are_not_stored(accounts: LocalAccounts, database_path: Path) -> None:
    tokens = await register(accounts)
    kept = b"".join(path.read_bytes() for path in database_path.parent.iterdir())
    assert b"$argon2id$" in kept
    assert PASSWORD.encode() not in kept
    assert tokens.refresh_token.rpartition(".")[2].encode() not in kept


# Passwords


async def test_sign_in_does_the_same_work_for_an_unknown_account(accounts: LocalAccounts, passwords: Watched) -> None:
    await register(accounts)
    for email in (EMAIL, "nobody@example.com", "no address"):
        before = passwords.checked
        with pytest.raises(CredentialsInvalid):
            await sign_in(accounts, email=email, password=WRONG)
        assert passwords.checked == before + 1


SPELLINGS = [
    ("zoe\u0308@b\u00fccher.example", "ZO\u00cb@xn--bcher-kva.example"),
    ("\uff41da@example.com", "ada@example\uff0ecom"),
    ("stra\u00dfe@example.com", "STRASSE@EXAMPLE.COM"),
    ("ada@EXAMPLE.com ", " ada@example\u3002com"),
]


@pytest.mark.parametrize("written,other", SPELLINGS)
async def test_one_mailbox_has_one_account(accounts: LocalAccounts, written: str, other: str) -> None:
    await register(accounts, email=written)
    with pytest.raises(EmailTaken):
        await register(accounts, email=other)
    await sign_in(accounts, email=other)


async def test_two_domains_that_only_look_alike_have_two_accounts(accounts: LocalAccounts) -> None:
    await register(accounts, email="ada@stra\u00dfe.example")
    await register(accounts, email="ada@strasse.example")


@pytest.mark.parametrize("written,other", SPELLINGS)
async def test_accounts_under_keys_of_earlier_versions_still_work(
    accounts: LocalAccounts, table: SqliteAccountTable, passwords: Watched, written: str, other: str
) -> None:
    account = make_account(written.strip(), password_hash=await passwords.hash(PASSWORD))
    await table.add_account(account, session=make_session(account.id))
    await sign_in(accounts, email=written)
    with pytest.raises(EmailTaken):
        await register(accounts, email=written)


async def test_two_old_accounts_of_one_mailbox_both_work(
    accounts: LocalAccounts, table: SqliteAccountTable, passwords: Watched
) -> None:
    for email in ("ada@b\u00fccher.example", "ada@xn--bcher-kva.example"):
        account = make_account(email, password_hash=await passwords.hash(PASSWORD))
        await table.add_account(account, session=make_session(account.id))
        tokens = await sign_in(accounts, email=email)
        assert (await accounts.authenticate(tokens.access_token)).id == account.id


async def test_sign_in_takes_the_address_in_another_case(accounts: LocalAccounts) -> None:
    await register(accounts)
    await sign_in(accounts, email=" Anna@EXAMPLE.com ")


async def test_sign_in_renews_a_hash_of_older_parameters(
    accounts: LocalAccounts,
    make_accounts: Callable[..., LocalAccounts],
    table: SqliteAccountTable,
    executor: ThreadPoolExecutor,
) -> None:
    await register(accounts)
    newer = Watched(executor, parameters=replace(CHEAP, time_cost=2))
    raised = make_accounts(passwords=newer, clock=system_clock)
    await sign_in(raised)
    account = await table.find_account_by_email(EMAIL)
    assert account is not None
    assert not newer.outdated(account.password_hash)
    await sign_in(raised)


async def test_register_refuses_an_address_of_more_than_254_characters(accounts: LocalAccounts) -> None:
    with pytest.raises(EmailInvalid, match="254"):
        await register(accounts, email=f"anna@{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 63}.com")


# Who may register


async def test_closed_registration_rejects_everyone(
    make_accounts: Callable[..., LocalAccounts], invitations: Invitations
) -> None:
    closed = make_accounts(registration="closed")
    for invitation in (None, invitations.invite(None)):
        with pytest.raises(RegistrationClosed):
            await join(closed, invitation)


async def join(
    accounts: LocalAccounts, invitation: str | None, *, email: str = EMAIL, password: str = PASSWORD
) -> None:
    await accounts.register(
        email=email, password=password, display_name=None, client="192.0.2.1", invitation=invitation
    )


async def test_an_invitation_allows_one_registration(
    make_accounts: Callable[..., LocalAccounts], invitations: Invitations
) -> None:
    accounts = make_accounts(registration="invite")
    with pytest.raises(InvitationRequired):
        await join(accounts, None)
    invitation = invitations.invite(None)
    with pytest.raises(PasswordWeak):
        await join(accounts, invitation, password="short")
    await join(accounts, invitation)
    with pytest.raises(InvitationInvalid, match="used before"):
        await join(accounts, invitation, email="bert@example.com")
    second = invitations.invite(None)
    with pytest.raises(EmailTaken):
        await join(accounts, second)
    await join(accounts, second, email="bert@example.com")


async def test_one_of_many_registrations_with_one_invitation_succeeds(
    make_accounts: Callable[..., LocalAccounts], invitations: Invitations
) -> None:
    accounts, invitation = make_accounts(registration="invite"), invitations.invite(None)
    joining = (join(accounts, invitation, email=f"user{number}@example.com") for number in range(6))
    results = await asyncio.gather(*joining, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["InvitationInvalid"] * 5 + ["NoneType"]


async def test_invitation_for_an_address_is_invalid_for_others(
    make_accounts: Callable[..., LocalAccounts], invitations: Invitations
) -> None:
    accounts, invitation = make_accounts(registration="invite"), invitations.invite("Anna@Example.com")
    with pytest.raises(InvitationInvalid, match="another"):
        await join(accounts, invitation, email="bert@example.com")
    await join(accounts, invitation, email="anna@example.com")


async def test_invitations_expire_and_cannot_be_forged(
    make_accounts: Callable[..., LocalAccounts], invitations: Invitations, database: SqliteDatabase, clock: Clock
) -> None:
    accounts, invitation = make_accounts(registration="invite"), invitations.invite(None)
    tokens = await register(make_accounts(), email="bert@example.com")
    foreign = Invitations(SqliteCounterTable(database), secret_key="x" * 32, clock=clock).invite(None)
    for forged in ("", "x", invitation[:-3] + "AAA", foreign, tokens.access_token, "\ud800"):
        with pytest.raises((InvitationInvalid, InvitationRequired)):
            await join(accounts, forged)
    clock.now += timedelta(days=7)
    with pytest.raises(InvitationInvalid, match="expired"):
        await join(accounts, invitation)


# Throttling


async def wrong_guesses(accounts: LocalAccounts, number: int, *, client: str = "192.0.2.1") -> None:
    for _ in range(number):
        with pytest.raises(CredentialsInvalid):
            await sign_in(accounts, password=WRONG, client=client)


async def test_eleventh_guess_is_rejected_until_the_window_ends(accounts: LocalAccounts, clock: Clock) -> None:
    await register(accounts)
    await wrong_guesses(accounts, 10)
    clock.now += timedelta(minutes=5)
    with pytest.raises(TooManyAttempts) as refused:
        await sign_in(accounts)
    assert refused.value.retry_after == 10 * 60
    clock.now += timedelta(seconds=refused.value.retry_after)
    await sign_in(accounts)


async def test_guesses_are_counted_per_normalized_address(accounts: LocalAccounts) -> None:
    await register(accounts)
    await wrong_guesses(accounts, 10)
    with pytest.raises(TooManyAttempts):
        await sign_in(accounts, email=f" {EMAIL.upper()}")


async def test_unknown_accounts_are_throttled_like_any_other(accounts: LocalAccounts) -> None:
    await wrong_guesses(accounts, 10)
    with pytest.raises(TooManyAttempts):
        await sign_in(accounts)


async def test_guesses_of_one_client_do_not_block_others(accounts: LocalAccounts) -> None:
    await register(accounts)
    await wrong_guesses(accounts, 10)
    for _ in range(100):
        with pytest.raises(TooManyAttempts):
            await sign_in(accounts)
    await sign_in(accounts, client="192.0.2.2")


async def test_guesses_from_many_clients_are_counted_together(accounts: LocalAccounts) -> None:
    await register(accounts)
    for client in range(10):
        await wrong_guesses(accounts, 10, client=f"198.51.100.{client}")
    with pytest.raises(TooManyAttempts):
        await sign_in(accounts, client="192.0.2.2")


async def test_guesses_of_strangers_do_not_lock_the_owner_out_of_a_known_network(
    accounts: LocalAccounts, clock: Clock
) -> None:
    await register(accounts, client="192.0.2.1")
    clock.now += timedelta(days=60)
    await sign_in(accounts, client="192.0.2.2")
    clock.now += timedelta(days=89)
    for client in range(10):
        await wrong_guesses(accounts, 10, client=f"198.51.100.{client}")
    with pytest.raises(TooManyAttempts):
        await sign_in(accounts, client="192.0.2.1")  # used 149 days ago
    await sign_in(accounts, client="192.0.2.2")


async def test_signing_in_clears_the_counters(accounts: LocalAccounts) -> None:
    await register(accounts)
    for _ in range(15):
        await wrong_guesses(accounts, 9)
        await sign_in(accounts)


async def test_concurrent_guesses_do_not_exceed_the_limit(accounts: LocalAccounts, passwords: Watched) -> None:
    await register(accounts)
    guesses = (sign_in(accounts, password=WRONG) for _ in range(50))
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert passwords.checked == 10
    assert sum(isinstance(answer, CredentialsInvalid) for answer in answers) == 10
    assert sum(isinstance(answer, TooManyAttempts) for answer in answers) == 40


async def test_registrations_of_one_client_are_limited(
    accounts: LocalAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = replace(local_accounts._REGISTRATIONS_PER_CLIENT, limit=20)
    monkeypatch.setattr(local_accounts, "_REGISTRATIONS_PER_CLIENT", limit)
    for number in range(20):
        await register(accounts, email=f"anna{number}@example.com")
    with pytest.raises(TooManyAttempts):
        await register(accounts, email="bert@example.com")
    await register(accounts, email="bert@example.com", client="192.0.2.2")


async def test_an_attempt_that_finds_the_queue_full_is_not_counted(accounts: LocalAccounts, passwords: Watched) -> None:
    await register(accounts)
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(passwords.slot())
        for _ in range(20):
            with pytest.raises(Overloaded):
                await sign_in(accounts)
    await sign_in(accounts)


async def test_counter_table_contains_no_addresses(accounts: LocalAccounts, database_path: Path) -> None:
    errors = await asyncio.gather(
        *(sign_in(accounts, email=f"carla{number}@example.com") for number in range(5)), return_exceptions=True
    )
    assert all(isinstance(error, AppError) for error in errors)
    kept = b"".join(path.read_bytes() for path in database_path.parent.iterdir())
    assert b"carla" not in kept
