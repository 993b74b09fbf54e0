"""The contract of every StoreIdTable: see app.ports.consistency_tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.ports.consistency_tables import StoreIdTable
from app.tables.dynamodb import DynamoDBStoreIdTable
from app.tables.dynamodb.keys import STORE_ID_KEY
from app.tables.sqlite import SqliteStoreIdTable, open_sqlite
from tests.contracts.tables import open_table


@pytest.fixture(params=["sqlite", "dynamodb"])
async def table(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreIdTable]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "service.db") as database:
            yield SqliteStoreIdTable(database)
    else:
        async with open_table(request.getfixturevalue("aws")) as opened:
            previous = await DynamoDBStoreIdTable(opened).store_id()
            yield DynamoDBStoreIdTable(opened)
            if previous is None:
                # Other tests use the same table. It must not refer to a store that does not exist.
                await opened.delete(STORE_ID_KEY)


async def test_the_first_store_id_is_never_replaced(table: StoreIdTable):
    previous = await table.store_id()
    ids = await asyncio.gather(*(table.set_store_id(f"store-{number}") for number in range(10)))
    assert len(set(ids)) == 1
    assert previous in (None, ids[0])
    assert await table.store_id() == ids[0] == await table.set_store_id("another")
