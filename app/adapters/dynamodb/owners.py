"""What concerns all the records of one owner, in DynamoDB."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from app.adapters.dynamodb.items import (
    JOB_PREFIX,
    ONCE_PREFIX,
    TOMBSTONE_PREFIX,
    UPLOAD_PREFIX,
    deletion_key,
    job_key,
    time_to_text,
    time_to_ttl,
    usage_key,
    user_partition,
)
from app.adapters.dynamodb.table import ConditionFailedError, DynamoDBTable

_DELETION_KEPT = timedelta(days=90)


class DynamoDBOwnerTable:
    """The mark of a closed owner stands in the item of the usage, which every added image is a condition on."""

    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def close(self, owner_id: str, *, until: datetime) -> None:
        with suppress(ConditionFailedError):
            await self._table.update(
                usage_key(owner_id),
                # The usage is not to end with the mark: only what `forget` leaves of the item is for TTL to delete.
                UpdateExpression="SET #closed_until = :until REMOVE #expires_at",
                ConditionExpression="attribute_not_exists(#closed_until) OR #closed_until < :until",
                values={"until": time_to_text(until)},
            )

    async def is_closed(self, owner_id: str) -> bool:
        return "closed_until" in (await self._table.find(usage_key(owner_id)) or {})

    async def forget(self, owner_id: str, *, but_job: str, deleted_at: datetime) -> None:
        # Before the tombstones go, so that at no moment what was deleted looks like what was lost.
        await self._table.put(
            {
                **deletion_key(owner_id),
                "deleted_at": time_to_text(deleted_at),
                "expires_at": time_to_ttl(deleted_at + _DELETION_KEPT),
            }
        )
        while not await self._forget_usage(owner_id):
            pass
        for prefix in (UPLOAD_PREFIX, ONCE_PREFIX, TOMBSTONE_PREFIX, JOB_PREFIX):
            kept = job_key(owner_id, but_job)
            await self._table.delete_all(partition=user_partition(owner_id), prefix=prefix, but=kept)

    async def deleted_at(self, owner_id: str) -> datetime | None:
        fields = await self._table.find(deletion_key(owner_id))
        return datetime.fromisoformat(fields["deleted_at"]) if fields else None

    async def _forget_usage(self, owner_id: str) -> bool:
        """Return False if the mark changed meanwhile."""
        key = usage_key(owner_id)
        closed_until = (await self._table.find(key) or {}).get("closed_until")
        try:
            if closed_until is None:
                await self._table.delete(key, ConditionExpression="attribute_not_exists(#closed_until)")
            else:
                expires_at = time_to_ttl(datetime.fromisoformat(closed_until))
                await self._table.put(
                    {**key, "closed_until": closed_until, "expires_at": expires_at},
                    ConditionExpression="#closed_until = :closed_until",
                    values={"closed_until": closed_until},
                )
        except ConditionFailedError:
            return False
        return True
