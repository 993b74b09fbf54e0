"""Tombstones of deleted images in DynamoDB."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from app.adapters.dynamodb.items import (
    DUE_JOBS,
    OPEN_TOMBSTONES,
    TOMBSTONE_PREFIX,
    image_key,
    time_to_text,
    time_to_ttl,
    tombstone_key,
    user_of,
)
from app.adapters.dynamodb.records import tombstone_from_fields, tombstone_to_fields
from app.adapters.dynamodb.table import ConditionFailedError, DynamoDBTable
from app.core.models import Tombstone

_KEPT = timedelta(days=90)


class DynamoDBTombstoneTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_tombstone(self, tombstone: Tombstone) -> bool:
        image = image_key(tombstone.owner_id, tombstone.image_id)
        item = tombstone_to_fields(tombstone)
        try:
            await self._table.transact(
                ("ConditionCheck", {"Key": image, "ConditionExpression": "attribute_not_exists(#pk)"}),
                ("Put", {"Item": item, "ConditionExpression": "attribute_not_exists(#pk)"}),
            )
        except ConditionFailedError as refusal:
            has_record = refusal.failed[0]
            return not has_record
        return True

    async def remove_tombstone(self, tombstone: Tombstone) -> None:
        await self._table.delete(tombstone_key(tombstone.owner_id, tombstone.image_id))

    async def find_tombstone(self, owner_id: str, image_id: str) -> Tombstone | None:
        fields = await self._table.find(tombstone_key(owner_id, image_id))
        return tombstone_from_fields(fields) if fields else None

    async def open_tombstones(self, *, deleted_before: datetime, limit: int) -> Sequence[Tombstone]:
        pages = self._table.query(
            IndexName=DUE_JOBS,
            KeyConditionExpression="#due = :due AND #due_at < :before",
            Limit=limit,
            values={"due": OPEN_TOMBSTONES, "before": time_to_text(deleted_before)},
        )
        found: list[Tombstone] = []
        async for items in pages:
            for fields in items:
                image_id = fields["sk"].removeprefix(TOMBSTONE_PREFIX)
                found.append(Tombstone(user_of(fields["pk"]), image_id, datetime.fromisoformat(fields["due_at"])))
            if len(found) >= limit:
                break
        return found

    async def close_tombstone(self, tombstone: Tombstone, *, now: datetime) -> None:
        with suppress(ConditionFailedError):
            await self._table.update(
                tombstone_key(tombstone.owner_id, tombstone.image_id),
                UpdateExpression="SET #expires_at = :expires_at REMOVE #due, #due_at",
                ConditionExpression="attribute_exists(#due)",
                values={"expires_at": time_to_ttl(now + _KEPT)},
            )
