"""The contract of every AccountTable: see app.ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from app.domain.accounts import Session
from app.domain.errors import EmailTaken
from app.domain.ids import new_id
from app.ports.tables import AccountTable
from app.tables.dynamodb import DynamoDBAccountTable
from app.tables.dynamodb import accounts as dynamodb_accounts
from app.tables.sqlite import SqliteAccountTable, open_sqlite
from app.tables.sqlite import accounts as sqlite_accounts
from tests.contracts.tables import NOON, make_account, make_session, open_table

DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)


@pytest.fixture(params=["sqlite", "dynamodb"])
async def accounts(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AccountTable]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield SqliteAccountTable(database)
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            yield DynamoDBAccountTable(table)


@pytest.fixture
def email() -> str:
    return f"ada-{new_id()}@example.com"


async def rotate(
    accounts: AccountTable,
    session: Session,
    *,
    old_hash: str = "old",
    new_hash: str = "new",
    expires_at: datetime = NOON + 2 * DAY,
    now: datetime = NOON,
) -> bool:
    return await accounts.rotate_session(
        session.account_id, session.id, old_hash=old_hash, new_hash=new_hash, expires_at=expires_at, now=now
    )


async def test_added_account_is_returned_unchanged(accounts: AccountTable, email: str) -> None:
    account = make_account(email)
    await accounts.add_account(account, session=make_session(account.id))
    assert await accounts.find_account(account.id) == account
    assert await accounts.find_account_by_email(email) == account


async def test_account_without_display_name_and_with_another_time_zone(accounts: AccountTable, email: str) -> None:
    created_at = NOON.replace(microsecond=0).astimezone(timezone(timedelta(hours=-5)))
    account = make_account(email, display_name=None, created_at=created_at)
    await accounts.add_account(account, session=make_session(account.id))
    assert await accounts.find_account(account.id) == account


async def test_unknown_account_is_none(accounts: AccountTable, email: str) -> None:
    assert await accounts.find_account(new_id()) is None
    assert await accounts.find_account_by_email(email) is None
    assert await accounts.find_account_by_email("") is None
    assert await accounts.find_account_by_email("é" * 5000) is None


async def test_an_email_key_belongs_to_one_account(accounts: AccountTable, email: str) -> None:
    account = make_account(f"  {email.upper()}", normalized_email=email)
    await accounts.add_account(account, session=make_session(account.id))
    rival = make_account(email)
    with pytest.raises(EmailTaken):
        await accounts.add_account(rival, session=make_session(rival.id))
    assert await accounts.find_account(rival.id) is None
    assert await accounts.find_account_by_email(email) == account


async def test_concurrent_registrations_of_one_address_create_one_account(accounts: AccountTable, email: str) -> None:
    rivals = [make_account(email) for _ in range(20)]
    results = await asyncio.gather(
        *(accounts.add_account(rival, session=make_session(rival.id)) for rival in rivals), return_exceptions=True
    )
    made = [rival for rival, result in zip(rivals, results, strict=True) if result is None]
    assert [type(result) for result in results].count(EmailTaken) == 19
    assert [await accounts.find_account_by_email(email)] == made
    assert [rival for rival in rivals if await accounts.find_account(rival.id)] == made


async def test_only_the_password_hash_is_replaced(accounts: AccountTable, email: str) -> None:
    account = make_account(email)
    await accounts.add_account(account, session=make_session(account.id))
    new_hash = "$argon2id$stronger"
    assert not await accounts.replace_password_hash(account.id, old_hash="$argon2id$other", new_hash=new_hash)
    assert await accounts.find_account(account.id) == account
    assert await accounts.replace_password_hash(account.id, old_hash=account.password_hash, new_hash=new_hash)
    assert await accounts.find_account(account.id) == replace(account, password_hash=new_hash)


async def test_replacing_the_password_hash_of_a_missing_account_adds_none(accounts: AccountTable) -> None:
    account_id = new_id()
    assert not await accounts.replace_password_hash(account_id, old_hash="$argon2id$", new_hash="$argon2id$new")
    assert await accounts.find_account(account_id) is None


async def test_an_account_is_edited(accounts: AccountTable, email: str) -> None:
    account = make_account(email)
    await accounts.add_account(account, session=make_session(account.id))
    edited = await accounts.edit_account(account.id, changes={"display_name": None, "disabled_at": NOON})
    assert edited == replace(account, display_name=None, disabled_at=NOON)
    assert await accounts.find_account(account.id) == edited
    assert await accounts.edit_account(account.id, changes={"disabled_at": None}) == replace(account, display_name=None)
    assert await accounts.edit_account(account.id, changes={}) == replace(account, display_name=None)


async def test_editing_a_missing_account_adds_none(accounts: AccountTable) -> None:
    account_id = new_id()
    assert await accounts.edit_account(account_id, changes={"display_name": "Ada"}) is None
    assert await accounts.find_account(account_id) is None


@pytest.mark.worker_only
async def test_all_accounts_are_listed(accounts: AccountTable, email: str) -> None:
    added = [make_account(f"{number}-{email}") for number in range(3)]
    for account in added:
        await accounts.add_account(account, session=make_session(account.id))
    listed = [account async for account in accounts.accounts()]
    assert all(account in listed for account in added)


async def test_a_session_is_found_and_listed_as_it_was_added(accounts: AccountTable) -> None:
    account_id = new_id()
    old = make_session(account_id)
    new = replace(make_session(account_id), created_at=NOON, refreshed_at=NOON + DAY, user_agent="Firefox")
    for session in (old, new):
        await accounts.add_session(session)
    assert await accounts.find_session(account_id, new.id) == new
    assert await accounts.find_session(account_id, old.id) == old
    assert await accounts.find_session(new_id(), old.id) is None
    assert sorted(await accounts.sessions(account_id), key=lambda each: each.id) == [old, new]


async def test_only_the_newest_sessions_are_read(accounts: AccountTable, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (dynamodb_accounts, sqlite_accounts):
        monkeypatch.setattr(module, "MAX_READ_SESSIONS", 3)
    account_id = new_id()
    sessions = [make_session(account_id) for _ in range(5)]
    for session in sessions:
        await accounts.add_session(session)
    assert list(await accounts.sessions(account_id)) == sessions[:1:-1]


async def test_one_session_can_be_kept_when_the_others_are_removed(accounts: AccountTable) -> None:
    account_id = new_id()
    sessions = [make_session(account_id) for _ in range(3)]
    for session in sessions:
        await accounts.add_session(session)
    await accounts.remove_sessions(account_id, keep=sessions[1].id)
    assert await accounts.sessions(account_id) == [sessions[1]]


async def test_a_session_rotates_from_one_hash_to_the_next(accounts: AccountTable) -> None:
    session = make_session(new_id(), expires_at=NOON + DAY)
    await accounts.add_session(session)
    assert await rotate(accounts, session)
    assert not await rotate(accounts, session, new_hash="newer")
    rotated = await accounts.find_session(session.account_id, session.id)
    assert rotated is not None
    assert (rotated.token_hash, rotated.refreshed_at) == ("new", NOON)
    assert await rotate(accounts, session, old_hash="new", new_hash="newest")


async def test_a_refused_rotation_changes_nothing(accounts: AccountTable) -> None:
    session = make_session(new_id(), expires_at=NOON + DAY)
    await accounts.add_session(session)
    assert not await rotate(accounts, session, old_hash="guessed")
    # Neither the hash nor the end of the session has changed.
    assert not await rotate(accounts, session, now=NOON + DAY)


async def test_session_expires_exactly_at_its_end(accounts: AccountTable) -> None:
    account_id = new_id()
    over, running = (make_session(account_id, expires_at=NOON + DAY) for _ in range(2))
    await accounts.add_session(over)
    await accounts.add_session(running)
    assert await rotate(accounts, running, now=NOON + DAY - INSTANT)
    assert not await rotate(accounts, over, now=NOON + DAY)


async def test_rotating_extends_the_session(accounts: AccountTable) -> None:
    session = make_session(new_id(), expires_at=NOON + DAY)
    await accounts.add_session(session)
    assert await rotate(accounts, session, expires_at=NOON + 5 * DAY)
    assert await rotate(accounts, session, old_hash="new", new_hash="newer", now=NOON + 5 * DAY - INSTANT)


async def test_a_repeated_rotation_to_the_same_hash_is_refused(accounts: AccountTable) -> None:
    session = make_session(new_id(), expires_at=NOON + DAY)
    await accounts.add_session(session)
    assert await rotate(accounts, session)
    assert not await rotate(accounts, session, now=NOON + INSTANT)


async def test_of_many_rotations_at_once_one_succeeds(accounts: AccountTable) -> None:
    session = make_session(new_id(), expires_at=NOON + DAY)
    await accounts.add_session(session)
    results = await asyncio.gather(*(rotate(accounts, session, new_hash=f"new-{n}") for n in range(20)))
    assert results.count(True) == 1
    assert await rotate(accounts, session, old_hash=f"new-{results.index(True)}", new_hash="last")


async def test_sessions_of_two_accounts_are_independent(accounts: AccountTable) -> None:
    session = make_session(new_id(), expires_at=NOON + DAY)
    await accounts.add_session(session)
    stranger = Session(session.id, new_id(), session.token_hash, session.expires_at)
    assert not await rotate(accounts, stranger)
    await accounts.remove_session(stranger.account_id, stranger.id)
    assert await rotate(accounts, session)


async def test_removed_session_does_not_rotate_and_can_be_removed_again(accounts: AccountTable) -> None:
    session = make_session(new_id(), expires_at=NOON + DAY)
    await accounts.add_session(session)
    await accounts.remove_session(session.account_id, session.id)
    await accounts.remove_session(session.account_id, session.id)
    assert not await rotate(accounts, session)


async def test_removing_the_sessions_of_an_account_keeps_those_of_others(accounts: AccountTable, email: str) -> None:
    account = make_account(email)
    first = make_session(account.id)
    await accounts.add_account(account, session=first)
    others = [make_session(account.id) for _ in range(30)]
    stranger = make_session(new_id())
    for session in (*others, stranger):
        await accounts.add_session(session)
    await accounts.remove_sessions(account.id)
    await accounts.remove_sessions(account.id)
    assert not any([await rotate(accounts, session) for session in (first, *others)])
    assert await rotate(accounts, stranger)
    assert await accounts.find_account(account.id) == account


async def test_removing_an_account_removes_its_sessions_and_frees_its_address(
    accounts: AccountTable, email: str
) -> None:
    account, other = make_account(email), make_account(f"other-{email}")
    session, later = make_session(account.id), make_session(account.id)
    await accounts.add_account(account, session=session)
    await accounts.add_account(other, session=make_session(other.id))
    await accounts.add_session(later)
    await accounts.remove_account(account.id)
    assert await accounts.find_account(account.id) is None
    assert await accounts.find_account_by_email(email) is None
    assert not await rotate(accounts, session)
    assert not await rotate(accounts, later)
    assert await accounts.find_account_by_email(other.email) == other

    successor = make_account(email)
    await accounts.add_account(successor, session=make_session(successor.id))
    await accounts.remove_account(account.id)
    assert await accounts.find_account_by_email(email) == successor


async def test_removing_a_removed_account_still_removes_its_sessions(accounts: AccountTable) -> None:
    session = make_session(new_id())
    await accounts.add_session(session)
    await accounts.remove_account(session.account_id)
    assert not await rotate(accounts, session)
