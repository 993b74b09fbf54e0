"""What was asked for under idempotency keys, in DynamoDB."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from app.adapters.dynamodb.items import once_key, time_to_text
from app.adapters.dynamodb.records import once_from_fields, once_to_fields
from app.adapters.dynamodb.table import ConditionFailedError, DynamoDBTable
from app.core.models import OnceRecord


class DynamoDBOnceTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def begin(self, record: OnceRecord, *, now: datetime) -> OnceRecord | None:
        while True:
            with suppress(ConditionFailedError):
                await self._table.put(
                    once_to_fields(record),
                    ConditionExpression="attribute_not_exists(#pk) OR #ends_at <= :now",
                    values={"now": time_to_text(now)},
                )
                return None
            there = await self.find(record.owner_id, record.key)
            # Abandoned, or tidied by the table, since it was in the way: that is room for this one.
            if there is not None and there.expires_at > now:
                # The SDK repeats a request whose answer was lost: it may be there because we put it there.
                return None if there.result_id == record.result_id else there

    async def find(self, owner_id: str, key: str) -> OnceRecord | None:
        fields = await self._table.find(once_key(owner_id, key))
        return None if fields is None else once_from_fields(fields)

    async def renew(self, record: OnceRecord, *, leased_until: datetime) -> bool:
        try:
            await self._table.update(
                once_key(record.owner_id, record.key),
                UpdateExpression="SET #leased_until = :leased_until",
                ConditionExpression="#result_id = :result_id AND #done = :done",
                values={"leased_until": time_to_text(leased_until), "result_id": record.result_id, "done": False},
            )
        except ConditionFailedError:
            return False
        return True

    async def take_over(self, record: OnceRecord, *, seen: OnceRecord) -> bool:
        try:
            await self._table.put(
                once_to_fields(record),
                ConditionExpression="#result_id = :result_id AND #done = :done AND #leased_until = :leased_until",
                values={
                    "result_id": seen.result_id,
                    "done": False,
                    "leased_until": time_to_text(seen.leased_until),
                },
            )
        except ConditionFailedError:
            # The SDK repeats a request whose answer was lost: it may be there because we put it there.
            there = await self.find(record.owner_id, record.key)
            return there is not None and there.result_id == record.result_id
        return True

    async def finish(self, record: OnceRecord) -> None:
        with suppress(ConditionFailedError):
            await self._table.update(
                once_key(record.owner_id, record.key),
                UpdateExpression="SET #done = :done",
                ConditionExpression="#result_id = :result_id",
                values={"done": True, "result_id": record.result_id},
            )

    async def abandon(self, record: OnceRecord) -> None:
        with suppress(ConditionFailedError):
            await self._table.delete(
                once_key(record.owner_id, record.key),
                ConditionExpression="#result_id = :result_id AND #done = :done",
                values={"done": False, "result_id": record.result_id},
            )
