"""What reconcile runs found out of step, in DynamoDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from datetime import datetime

from app.adapters.dynamodb.items import (
    DISCREPANCY_SHARDS,
    RECONCILE_STATE_KEY,
    discrepancy_key,
    discrepancy_partition,
    time_to_text,
)
from app.adapters.dynamodb.table import ConditionFailedError, DynamoDBTable
from app.core.models import Discrepancy, ReconcileState

_LOST = ""
"""The name that stands for the record: no object has it."""


class DynamoDBReconcileTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def note_unreferenced(self, owner_id: str, image_id: str, names: Collection[str], *, at: datetime) -> None:
        await asyncio.gather(*(self._note(owner_id, image_id, name, at=at) for name in names))

    async def note_lost(self, owner_id: str, image_id: str, *, at: datetime) -> None:
        await self._note(owner_id, image_id, _LOST, at=at)

    async def _note(self, owner_id: str, image_id: str, name: str, *, at: datetime) -> None:
        item = {**discrepancy_key(owner_id, image_id, name), "first_seen_at": time_to_text(at)}
        with suppress(ConditionFailedError):
            await self._table.put(item, ConditionExpression="attribute_not_exists(#pk)")

    async def discrepancies(self) -> AsyncIterator[Discrepancy]:
        for shard in DISCREPANCY_SHARDS:
            image: tuple[str, str] | None = None
            seen: dict[str, datetime] = {}
            pages = self._table.query(
                KeyConditionExpression="#pk = :partition", values={"partition": discrepancy_partition(shard)}
            )
            async for items in pages:
                for fields in items:
                    owner_id, image_id, name = fields["sk"].split("#")
                    if image and image != (owner_id, image_id):
                        yield _discrepancy(image, seen)
                        seen = {}
                    image = (owner_id, image_id)
                    seen[name] = datetime.fromisoformat(fields["first_seen_at"])
            if image:
                yield _discrepancy(image, seen)

    async def forget_unreferenced(self, owner_id: str, image_id: str, names: Collection[str]) -> None:
        await asyncio.gather(*(self._table.delete(discrepancy_key(owner_id, image_id, name)) for name in names))

    async def forget_lost(self, owner_id: str, image_id: str) -> None:
        await self._table.delete(discrepancy_key(owner_id, image_id, _LOST))

    async def reconcile_state(self) -> ReconcileState | None:
        fields = await self._table.find(RECONCILE_STATE_KEY)
        if fields is None:
            return None
        unbroken_since = datetime.fromisoformat(fields["unbroken_since"])
        return ReconcileState(fields["run_id"], unbroken_since, fields["originals_deleted"])

    async def save_reconcile_state(self, state: ReconcileState) -> None:
        fields = {
            "run_id": state.run_id,
            "unbroken_since": time_to_text(state.unbroken_since),
            "originals_deleted": dict(state.originals_deleted),
        }
        await self._table.put({**RECONCILE_STATE_KEY, **fields})


def _discrepancy(image: tuple[str, str], seen: dict[str, datetime]) -> Discrepancy:
    lost_since = seen.pop(_LOST, None)
    return Discrepancy(*image, unreferenced=seen, lost_since=lost_since)
