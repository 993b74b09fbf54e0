"""ReconcileTable and StoreIdTable in DynamoDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from datetime import datetime

from app.domain.reconciliation import Discrepancy, ReconcileState
from app.tables.dynamodb import keys
from app.tables.dynamodb.table import ConditionFailed, DynamoDBTable
from app.tables.serializer import from_fields, time_from_text, to_fields

_LOST = ""
"""Stands for the record in place of an object's name: no object has an empty name."""


class DynamoDBReconcileTable:
    shards = keys.DISCREPANCY_SHARDS

    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def note_unreferenced(self, owner_id: str, image_id: str, names: Collection[str], *, at: datetime) -> None:
        await asyncio.gather(*(self._note(owner_id, image_id, name, at=at) for name in names))

    async def note_lost(self, owner_id: str, image_id: str, *, at: datetime) -> None:
        await self._note(owner_id, image_id, _LOST, at=at)

    async def _note(self, owner_id: str, image_id: str, name: str, *, at: datetime) -> None:
        item = {**keys.discrepancy_key(owner_id, image_id, name), "first_seen_at": at}
        with suppress(ConditionFailed):
            await self._table.put(item, ConditionExpression="attribute_not_exists(#pk)")

    async def discrepancies(self, shard: str, *, after: tuple[str, str] = ("", "")) -> AsyncIterator[Discrepancy]:
        image: tuple[str, str] | None = None
        seen: dict[str, datetime] = {}
        pages = self._table.query(
            KeyConditionExpression="#pk = :partition AND #sk > :after",
            values={"partition": keys.discrepancy_partition(shard), "after": keys.after_discrepancies_of(*after)},
        )
        async for items in pages:
            for fields in items:
                owner_id, image_id, name = fields["sk"].split("#")
                if image and image != (owner_id, image_id):
                    yield _discrepancy(image, seen)
                    seen = {}
                image = (owner_id, image_id)
                seen[name] = time_from_text(fields["first_seen_at"])
        if image:
            yield _discrepancy(image, seen)

    async def forget_unreferenced(self, owner_id: str, image_id: str, names: Collection[str]) -> None:
        await asyncio.gather(*(self._table.delete(keys.discrepancy_key(owner_id, image_id, name)) for name in names))

    async def forget_lost(self, owner_id: str, image_id: str) -> None:
        await self._table.delete(keys.discrepancy_key(owner_id, image_id, _LOST))

    async def reconcile_state(self) -> ReconcileState | None:
        fields = await self._table.find(keys.RECONCILE_STATE_KEY)
        return None if fields is None else from_fields(ReconcileState, fields)

    async def save_reconcile_state(self, state: ReconcileState) -> bool:
        # A state of a version of the service without checkpoints has no version.
        condition = "#version = :saved" if state.version > 1 else "attribute_not_exists(#version)"
        values = {"saved": state.version - 1} if state.version > 1 else None
        fields = to_fields(state)
        # Older versions of DynamoDB Local, which some emulators contain, refuse empty text.
        fields["segments"] = [{k: v for k, v in segment.items() if v != ""} for segment in fields["segments"]]
        try:
            await self._table.put({**keys.RECONCILE_STATE_KEY, **fields}, values=values, ConditionExpression=condition)
        except ConditionFailed:
            return False
        return True


class DynamoDBStoreIdTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def store_id(self) -> str | None:
        fields = await self._table.find(keys.STORE_ID_KEY)
        return None if fields is None else str(fields["id"])

    async def set_store_id(self, store_id: str) -> str:
        with suppress(ConditionFailed):
            await self._table.put(
                {**keys.STORE_ID_KEY, "id": store_id}, ConditionExpression="attribute_not_exists(#pk)"
            )
        fields = await self._table.find(keys.STORE_ID_KEY)
        return str((fields or {})["id"])


def _discrepancy(image: tuple[str, str], seen: dict[str, datetime]) -> Discrepancy:
    lost_since = seen.pop(_LOST, None)
    return Discrepancy(*image, unreferenced=seen, lost_since=lost_since)
