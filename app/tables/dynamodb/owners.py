"""OwnerTable in DynamoDB."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from app.tables.dynamodb import keys
from app.tables.dynamodb.items import time_to_ttl
from app.tables.dynamodb.table import ConditionFailed, DynamoDBTable
from app.tables.serializer import time_from_text

_DELETION_RETENTION = timedelta(days=90)
_OWNED_PREFIXES = (
    keys.UPLOAD_PREFIX,
    keys.IDEMPOTENCY_PREFIX,
    keys.TOMBSTONE_PREFIX,
    keys.JOB_PREFIX,
    # Before the counts, which must not change after they were deleted.
    keys.TAKEN_PREFIX,
    keys.MONTH_PREFIX,
)


class DynamoDBOwnerTable:
    """The block is an attribute of the usage item, which every transaction that adds an image checks anyway."""

    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def block_writes(self, owner_id: str, *, until: datetime) -> None:
        with suppress(ConditionFailed):
            await self._table.update(
                keys.usage_key(owner_id),
                # TTL must not delete the usage together with the block. Only what `delete_owner_data` leaves expires.
                UpdateExpression="SET #closed_until = :until REMOVE #expires_at",
                ConditionExpression="attribute_not_exists(#closed_until) OR #closed_until < :until",
                values={"until": until},
            )

    async def is_blocked(self, owner_id: str) -> bool:
        return "closed_until" in (await self._table.find(keys.usage_key(owner_id)) or {})

    async def delete_owner_data(self, owner_id: str, *, except_job_id: str, deleted_at: datetime) -> None:
        # Written before the tombstones are deleted, so that deleted images never look like lost ones.
        expires_at = time_to_ttl(deleted_at + _DELETION_RETENTION)
        await self._table.put({**keys.owner_deletion_key(owner_id), "deleted_at": deleted_at, "expires_at": expires_at})
        while not await self._delete_usage(owner_id):
            pass
        kept = keys.job_key(owner_id, except_job_id)
        for prefix in _OWNED_PREFIXES:
            await self._table.delete_all(partition=keys.user_partition(owner_id), prefix=prefix, exclude=kept)

    async def deleted_at(self, owner_id: str) -> datetime | None:
        fields = await self._table.find(keys.owner_deletion_key(owner_id))
        return time_from_text(fields["deleted_at"]) if fields else None

    async def _delete_usage(self, owner_id: str) -> bool:
        """Delete the usage and keep the block. Returns False if the block changed concurrently."""
        key = keys.usage_key(owner_id)
        closed_until = (await self._table.find(key) or {}).get("closed_until")
        try:
            if closed_until is None:
                await self._table.delete(key, ConditionExpression="attribute_not_exists(#closed_until)")
            else:
                expires_at = time_to_ttl(time_from_text(closed_until))
                await self._table.put(
                    {**key, "closed_until": closed_until, "expires_at": expires_at},
                    ConditionExpression="#closed_until = :closed_until",
                    values={"closed_until": closed_until},
                )
        except ConditionFailed:
            return False
        return True
