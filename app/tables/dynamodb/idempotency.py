"""IdempotencyTable in DynamoDB."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from app.domain.claims import IdempotencyRecord
from app.tables.dynamodb.items import idempotency_from_item, idempotency_item
from app.tables.dynamodb.keys import idempotency_key
from app.tables.dynamodb.table import ConditionFailed, DynamoDBTable


class DynamoDBIdempotencyTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def begin(self, record: IdempotencyRecord, *, now: datetime) -> IdempotencyRecord | None:
        while True:
            with suppress(ConditionFailed):
                await self._table.put(
                    idempotency_item(record),
                    ConditionExpression="attribute_not_exists(#pk) OR #ends_at <= :now",
                    values={"now": now},
                )
                return None
            current = await self.find(record.owner_id, record.key)
            # If it was abandoned or expired in the meantime, the record can be written now.
            if current is not None and current.expires_at > now:
                # The SDK may have retried a write that succeeded: then the record is our own.
                return None if current.result_id == record.result_id else current

    async def find(self, owner_id: str, key: str) -> IdempotencyRecord | None:
        fields = await self._table.find(idempotency_key(owner_id, key))
        return None if fields is None else idempotency_from_item(fields)

    async def renew(self, record: IdempotencyRecord, *, leased_until: datetime) -> bool:
        try:
            await self._table.update(
                idempotency_key(record.owner_id, record.key),
                UpdateExpression="SET #leased_until = :leased_until",
                ConditionExpression="#result_id = :result_id AND #done = :done",
                values={"leased_until": leased_until, "result_id": record.result_id, "done": False},
            )
        except ConditionFailed:
            return False
        return True

    async def take_over(self, record: IdempotencyRecord, *, seen: IdempotencyRecord) -> bool:
        try:
            await self._table.put(
                idempotency_item(record),
                ConditionExpression="#result_id = :result_id AND #done = :done AND #leased_until = :leased_until",
                values={"result_id": seen.result_id, "done": False, "leased_until": seen.leased_until},
            )
        except ConditionFailed:
            # The SDK may have retried a write that succeeded: then the record is our own.
            current = await self.find(record.owner_id, record.key)
            return current is not None and current.result_id == record.result_id
        return True

    async def finish(self, record: IdempotencyRecord) -> None:
        with suppress(ConditionFailed):
            await self._table.update(
                idempotency_key(record.owner_id, record.key),
                UpdateExpression="SET #done = :done",
                ConditionExpression="#result_id = :result_id",
                values={"done": True, "result_id": record.result_id},
            )

    async def abandon(self, record: IdempotencyRecord) -> None:
        with suppress(ConditionFailed):
            await self._table.delete(
                idempotency_key(record.owner_id, record.key),
                ConditionExpression="#result_id = :result_id AND #done = :done",
                values={"done": False, "result_id": record.result_id},
            )
