"""What every OwnerIndex, ServerKeyTable and AuditTable does: see app.ports.admin_tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.administration import AuditEntry, Scope, ServerKey
from app.domain.ids import new_id
from app.ports.admin_tables import AuditTable, OwnerIndex, ServerKeyTable
from app.tables.dynamodb import DynamoDBAuditTable, DynamoDBOwnerIndex, DynamoDBServerKeyTable, administration
from app.tables.sqlite import SqliteAuditTable, SqliteOwnerIndex, SqliteServerKeyTable, open_sqlite
from tests.contracts.tables import NOON, open_table
from tests.reconcile_helpers import system_clock

DAY = timedelta(days=1)


@dataclass
class AdminTables:
    owners: OwnerIndex
    keys: ServerKeyTable
    audit: AuditTable


@pytest.fixture(params=["sqlite", "dynamodb"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AdminTables]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            audit = SqliteAuditTable(database, clock=system_clock)
            yield AdminTables(SqliteOwnerIndex(database), SqliteServerKeyTable(database), audit)
    else:
        async with open_table(request.getfixturevalue("aws")) as table:
            audit_table = DynamoDBAuditTable(table, clock=system_clock)
            yield AdminTables(DynamoDBOwnerIndex(table), DynamoDBServerKeyTable(table), audit_table)


def make_key(**changes: object) -> ServerKey:
    key = ServerKey(new_id(), "The shop", (Scope.USERS_READ, Scope.IMAGES), "0f" * 32, NOON)
    return replace(key, **changes)  # type: ignore[arg-type]


def make_entry(owner_id: str | None = None, *, at: datetime | None = None, expires_in: timedelta = DAY) -> AuditEntry:
    entry_id = new_id() if at is None else f"{int(at.timestamp() * 1000):012x}-7000-8000-00000000000a"
    if at is not None:
        entry_id = f"{entry_id[:8]}-{entry_id[8:]}"
    now = datetime.now(UTC)
    return AuditEntry(entry_id, now, "operator", "image.deleted", owner_id, new_id(), "192.0.2.1", now + expires_in)


async def all_owners(index: OwnerIndex, *, limit: int) -> list[str]:
    found: list[str] = []
    after = None
    while page := await index.page_owners(after=after, limit=limit):
        assert len(page) <= limit
        found += page
        after = page[-1]
    return found


async def test_every_owner_is_listed_once(tables: AdminTables) -> None:
    added = [f"owner-{new_id()}" for _ in range(40)]
    for owner_id in (*added, *added[:5]):
        await tables.owners.add_owner(owner_id)
    for limit in (1, 7, 100):
        listed = await all_owners(tables.owners, limit=limit)
        assert len(listed) == len(set(listed))
        assert set(added) <= set(listed)


async def test_a_removed_owner_is_not_listed(tables: AdminTables) -> None:
    owner_id = f"owner-{new_id()}"
    assert not await tables.owners.has_owner(owner_id)
    await tables.owners.add_owner(owner_id)
    assert await tables.owners.has_owner(owner_id)
    for _ in range(2):
        await tables.owners.remove_owner(owner_id)
    assert not await tables.owners.has_owner(owner_id)
    assert owner_id not in await all_owners(tables.owners, limit=100)


async def test_a_key_is_found_and_listed_as_it_was_added(tables: AdminTables) -> None:
    keys = [make_key(), make_key(name="Another", scopes=(Scope.AUDIT_READ,))]
    for key in keys:
        await tables.keys.add_key(key)
    assert [await tables.keys.find_key(key.id) for key in keys] == keys
    assert [key for key in await tables.keys.keys() if key in keys] == keys
    assert await tables.keys.find_key(new_id()) is None


async def test_a_key_is_revoked_once(tables: AdminTables) -> None:
    key = make_key()
    await tables.keys.add_key(key)
    revoked = replace(key, revoked_at=NOON + DAY)
    assert await tables.keys.revoke_key(key.id, at=NOON + DAY) == revoked
    assert await tables.keys.revoke_key(key.id, at=NOON + 2 * DAY) == revoked
    assert await tables.keys.find_key(key.id) == revoked
    missing = new_id()
    assert await tables.keys.revoke_key(missing, at=NOON) is None
    assert await tables.keys.find_key(missing) is None


async def entries_of(table: AuditTable, owner_id: str | None, *, limit: int) -> list[AuditEntry]:
    found: list[AuditEntry] = []
    before = None
    while True:
        page, before = await table.page_entries(before=before, limit=limit, owner_id=owner_id)
        assert len(page) <= limit
        found += page
        if before is None:
            return found


async def test_the_entries_of_an_owner_are_listed_newest_first(tables: AdminTables) -> None:
    ada, bob = f"ada-{new_id()}", f"bob-{new_id()}"
    entries = [make_entry(owner) for owner in (ada, bob, ada, ada, None)]
    for entry in entries:
        await tables.audit.add_entry(entry)
    mine = [entry for entry in reversed(entries) if entry.owner_id == ada]
    for limit in (1, 3, 100):
        assert await entries_of(tables.audit, ada, limit=limit) == mine


@pytest.mark.parametrize("limit", [1, 5, 100])
async def test_the_entries_of_all_owners_are_listed_newest_first_over_many_days(
    tables: AdminTables, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(administration, "_DAYS_PER_PAGE", 4)
    owner_id = f"owner-{new_id()}"
    now = datetime.now(UTC)
    added = [make_entry(owner_id, at=now - days * DAY) for days in (0, 1, 2, 6, 16)]
    for entry in added:
        await tables.audit.add_entry(entry)
    found: list[AuditEntry] = []
    before: str | None = None
    while True:
        page, before = await tables.audit.page_entries(before=before, limit=limit)
        found += [entry for entry in page if entry.owner_id == owner_id]
        if before is None or len(found) == len(added):
            break
    assert found == added


async def test_only_the_address_is_removed_from_the_entries_of_an_owner(tables: AdminTables) -> None:
    ada, bob = f"ada-{new_id()}", f"bob-{new_id()}"
    entries = [make_entry(owner) for owner in (ada, ada, bob)]
    for entry in entries:
        await tables.audit.add_entry(entry)
    for _ in range(2):
        await tables.audit.forget_addresses(ada)
    without = [replace(entry, address=None) for entry in reversed(entries[:2])]
    assert await entries_of(tables.audit, ada, limit=100) == without
    assert await entries_of(tables.audit, bob, limit=100) == [entries[2]]


async def test_expired_entries_are_deleted_from_sqlite(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "service.db") as database:
        table = SqliteAuditTable(database, clock=system_clock)
        await table.add_entry(make_entry("ada", expires_in=-DAY))
        await table.add_entry(kept := make_entry("ada"))
        assert await entries_of(table, "ada", limit=10) == [kept]
