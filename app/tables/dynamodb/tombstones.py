"""TombstoneTable in DynamoDB."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from app.domain.images import Tombstone
from app.tables.dynamodb import keys
from app.tables.dynamodb.due_index import oldest_due
from app.tables.dynamodb.items import time_to_ttl, tombstone_item
from app.tables.dynamodb.table import ConditionFailed, DynamoDBTable
from app.tables.serializer import from_fields, time_from_text

_RETENTION = timedelta(days=90)


class DynamoDBTombstoneTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_tombstone(self, tombstone: Tombstone) -> bool:
        image = keys.image_key(tombstone.owner_id, tombstone.image_id)
        try:
            await self._table.transact(
                ("ConditionCheck", {"Key": image, "ConditionExpression": "attribute_not_exists(#pk)"}),
                ("Put", {"Item": tombstone_item(tombstone), "ConditionExpression": "attribute_not_exists(#pk)"}),
            )
        except ConditionFailed as refusal:
            has_record = refusal.failed[0]
            return not has_record
        return True

    async def remove_tombstone(self, tombstone: Tombstone) -> None:
        await self._table.delete(keys.tombstone_key(tombstone.owner_id, tombstone.image_id))

    async def find_tombstone(self, owner_id: str, image_id: str) -> Tombstone | None:
        fields = await self._table.find(keys.tombstone_key(owner_id, image_id))
        return from_fields(Tombstone, fields) if fields else None

    async def open_tombstones(self, *, deleted_before: datetime, limit: int) -> Sequence[Tombstone]:
        found = await oldest_due(self._table, keys.DUE_TOMBSTONES, before=deleted_before, limit=limit)
        return [_open_tombstone(fields) for fields in found]

    async def close_tombstone(self, tombstone: Tombstone, *, now: datetime) -> None:
        with suppress(ConditionFailed):
            await self._table.update(
                keys.tombstone_key(tombstone.owner_id, tombstone.image_id),
                UpdateExpression="SET #expires_at = :expires_at REMOVE #due, #due_at",
                ConditionExpression="attribute_exists(#due)",
                values={"expires_at": time_to_ttl(now + _RETENTION)},
            )


def _open_tombstone(fields: dict[str, Any]) -> Tombstone:
    image_id = fields["sk"].removeprefix(keys.TOMBSTONE_PREFIX)
    return Tombstone(keys.user_of(fields["pk"]), image_id, time_from_text(fields["due_at"]))
