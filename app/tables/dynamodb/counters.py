"""CounterTable in DynamoDB."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from app.domain.counters import WindowCount
from app.tables.dynamodb.items import time_to_ttl
from app.tables.dynamodb.keys import counter_key
from app.tables.dynamodb.table import ConditionFailed, DynamoDBTable
from app.tables.serializer import time_from_text


class DynamoDBCounterTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def increment(self, key: str, *, now: datetime, window_seconds: int) -> WindowCount:
        resets_at = now + timedelta(seconds=window_seconds)
        while True:
            with suppress(ConditionFailed):
                return await self._count(key, now=now)
            # No window is open: open one, unless another process does so first. Then count in that window.
            with suppress(ConditionFailed):
                return await self._open_window(key, now=now, resets_at=resets_at)

    async def current(self, key: str, *, now: datetime) -> int:
        fields = await self._table.find(counter_key(key))
        return fields["attempts"] if fields and time_from_text(fields["resets_at"]) > now else 0

    async def reset(self, key: str) -> None:
        await self._table.delete(counter_key(key))

    async def _count(self, key: str, *, now: datetime) -> WindowCount:
        fields = await self._table.update(
            counter_key(key),
            UpdateExpression="ADD #attempts :one",
            ConditionExpression="#resets_at > :now",
            values={"one": 1, "now": now},
        )
        return WindowCount(fields["attempts"], time_from_text(fields["resets_at"]))

    async def _open_window(self, key: str, *, now: datetime, resets_at: datetime) -> WindowCount:
        await self._table.update(
            counter_key(key),
            UpdateExpression="SET #attempts = :one, #resets_at = :resets_at, #expires_at = :expires_at",
            ConditionExpression="attribute_not_exists(#pk) OR #resets_at <= :now",
            values={"one": 1, "now": now, "resets_at": resets_at, "expires_at": time_to_ttl(resets_at)},
        )
        return WindowCount(1, resets_at)
