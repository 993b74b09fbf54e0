"""Reads the index of due items: see docs/decisions/0020-sharded-index.md."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any

from app.tables.dynamodb import keys
from app.tables.dynamodb.table import DynamoDBTable

_CONCURRENT_QUERIES = 11
"""A sweep takes at most three round trips, and leaves most of the connections to requests."""


async def oldest_due(table: DynamoDBTable, kind: str, *, before: datetime, limit: int) -> Sequence[dict[str, Any]]:
    """Return pk, sk, due and due_at of at most `limit` items that are due before that time, oldest first."""
    slots = asyncio.Semaphore(_CONCURRENT_QUERIES)

    async def read(partition: str) -> Sequence[dict[str, Any]]:
        async with slots:
            return await _read_partition(table, partition, before=before, limit=limit)

    partitions = await asyncio.gather(*map(read, keys.due_partitions(kind)))
    return list(islice(heapq.merge(*partitions, key=itemgetter("due_at")), limit))


async def _read_partition(
    table: DynamoDBTable, partition: str, *, before: datetime, limit: int
) -> Sequence[dict[str, Any]]:
    # The keys of 1,000 items are smaller than the 1 MB of a page.
    items, _ = await table.query_page(
        IndexName=keys.DUE_INDEX,
        KeyConditionExpression="#due = :due AND #due_at < :before",
        Limit=limit,
        values={"due": partition, "before": before},
    )
    return items
