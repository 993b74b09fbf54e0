"""OwnerIndex, ServerKeyTable and AuditTable in DynamoDB: see docs/decisions/0018-administration.md for the keys."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from app.domain.administration import AuditEntry, ServerKey
from app.domain.ids import id_timestamp
from app.ports.clock import Clock
from app.tables.dynamodb import keys
from app.tables.dynamodb.items import audit_entry_from_item, audit_item, server_key_item
from app.tables.dynamodb.table import ConditionFailed, DynamoDBTable
from app.tables.serializer import from_fields

_AFTER_EVERY_ID = "\U0010ffff"
_DAYS_PER_PAGE = 7
"""Each day is a query of each shard."""
_CONCURRENT_UPDATES = 20


class DynamoDBOwnerIndex:
    """Lists the owners by shard, and within a shard by id."""

    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_owner(self, owner_id: str) -> None:
        await self._table.put(keys.owner_index_key(owner_id))

    async def page_owners(self, *, after: str | None, limit: int) -> Sequence[str]:
        found: list[str] = []
        first_shard = keys.owner_shard(after) if after else keys.OWNER_SHARDS[0]
        for shard in keys.OWNER_SHARDS[keys.OWNER_SHARDS.index(first_shard) :]:
            start = after if after and shard == first_shard else " "
            found += await self._page_shard(shard, after=start, limit=limit - len(found))
            if len(found) >= limit:
                break
        return found

    async def has_owner(self, owner_id: str) -> bool:
        return await self._table.find(keys.owner_index_key(owner_id)) is not None

    async def remove_owner(self, owner_id: str) -> None:
        await self._table.delete(keys.owner_index_key(owner_id))

    async def _page_shard(self, shard: str, *, after: str, limit: int) -> Sequence[str]:
        pages = self._table.query(
            KeyConditionExpression="#pk = :partition AND #sk > :after",
            Limit=limit,
            values={"partition": keys.owner_index_partition(shard), "after": after},
        )
        return [item["sk"] for item in await anext(pages)]


class DynamoDBServerKeyTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_key(self, key: ServerKey) -> None:
        await self._table.put(server_key_item(key))

    async def find_key(self, key_id: str) -> ServerKey | None:
        fields = await self._table.find(keys.server_key_key(key_id))
        return from_fields(ServerKey, fields) if fields else None

    async def keys(self) -> Sequence[ServerKey]:
        found = self._table.query(KeyConditionExpression="#pk = :partition", values={"partition": keys.SERVER_KEYS})
        return [from_fields(ServerKey, fields) async for items in found for fields in items]

    async def revoke_key(self, key_id: str, *, at: datetime) -> ServerKey | None:
        with suppress(ConditionFailed):
            await self._table.update(
                keys.server_key_key(key_id),
                UpdateExpression="SET #revoked_at = :at",
                ConditionExpression="attribute_exists(#pk) AND attribute_not_exists(#revoked_at)",
                values={"at": at},
            )
        return await self.find_key(key_id)


class DynamoDBAuditTable:
    """The entries of an owner have a partition of their own. The index lists the entries of all owners by day."""

    def __init__(self, table: DynamoDBTable, *, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def add_entry(self, entry: AuditEntry) -> None:
        await self._table.put(audit_item(entry))

    async def page_entries(
        self, *, before: str | None, limit: int, owner_id: str | None = None
    ) -> tuple[Sequence[AuditEntry], str | None]:
        if owner_id is None:
            return await self._page_all(before=before, limit=limit)
        pages = self._table.query(
            KeyConditionExpression="#pk = :partition AND #sk < :before",
            Limit=limit,
            ScanIndexForward=False,
            values={"partition": keys.audit_partition(owner_id), "before": before or _AFTER_EVERY_ID},
        )
        entries = [audit_entry_from_item(fields) for fields in await anext(pages)]
        return entries, entries[-1].id if len(entries) == limit else None

    async def forget_addresses(self, owner_id: str) -> None:
        found = self._table.query(
            KeyConditionExpression="#pk = :partition",
            FilterExpression="attribute_exists(#address)",
            values={"partition": keys.audit_partition(owner_id)},
        )
        async for items in found:
            for start in range(0, len(items), _CONCURRENT_UPDATES):
                await asyncio.gather(
                    *(self._forget(item["id"], owner_id) for item in items[start:][:_CONCURRENT_UPDATES])
                )

    async def _forget(self, entry_id: str, owner_id: str) -> None:
        with suppress(ConditionFailed):
            await self._table.update(
                keys.audit_key(owner_id, entry_id),
                UpdateExpression="REMOVE #address",
                ConditionExpression="attribute_exists(#pk)",
                values={},
            )

    async def _page_all(self, *, before: str | None, limit: int) -> tuple[Sequence[AuditEntry], str | None]:
        start = before or _AFTER_EVERY_ID
        today = self._clock().astimezone(UTC).date() + timedelta(days=1)  # the clock of another machine may be ahead
        day = id_timestamp(before).date() if before else today
        found: list[keys.Key] = []
        for _ in range(_DAYS_PER_PAGE):
            found += await self._keys_of_day(day, before=start, limit=limit - len(found))
            if len(found) >= limit:
                break
            day -= timedelta(days=1)
        items = await asyncio.gather(*map(self._table.find, found))
        entries = [audit_entry_from_item(fields) for fields in items if fields]
        if len(found) >= limit:
            return entries, found[-1]["sk"]
        return entries, keys.first_id_of_day(day + timedelta(days=1))

    async def _keys_of_day(self, day: date, *, before: str, limit: int) -> Sequence[keys.Key]:
        shards = await asyncio.gather(
            *(self._keys_of_shard(day, shard, before=before, limit=limit) for shard in keys.AUDIT_SHARDS)
        )
        return _newest(shards, limit)

    async def _keys_of_shard(self, day: date, shard: str, *, before: str, limit: int) -> Sequence[keys.Key]:
        pages = self._table.query(
            IndexName=keys.DUE_INDEX,
            KeyConditionExpression="#due = :due AND #due_at < :before",
            Limit=limit,
            ScanIndexForward=False,
            values={"due": keys.audit_index_partition(day, shard), "before": before},
        )
        return [{"pk": item["pk"], "sk": item["sk"]} for item in await anext(pages)]


def _newest(shards: Iterable[Sequence[keys.Key]], limit: int) -> Sequence[keys.Key]:
    merged = heapq.merge(*shards, key=lambda key: key["sk"], reverse=True)
    return [key for key, _ in zip(merged, range(limit), strict=False)]
