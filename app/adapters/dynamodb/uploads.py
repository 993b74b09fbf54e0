"""Direct uploads in DynamoDB."""

from __future__ import annotations

from contextlib import suppress

from app.adapters.dynamodb.items import upload_key
from app.adapters.dynamodb.records import upload_from_fields, upload_to_fields
from app.adapters.dynamodb.table import ConditionFailedError, DynamoDBTable
from app.core.models import DirectUpload


class DynamoDBDirectUploadTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_upload(self, upload: DirectUpload) -> None:
        with suppress(ConditionFailedError):
            await self._table.put(upload_to_fields(upload), ConditionExpression="attribute_not_exists(#pk)")

    async def find_upload(self, owner_id: str, upload_id: str) -> DirectUpload | None:
        fields = await self._table.find(upload_key(owner_id, upload_id))
        return None if fields is None else upload_from_fields(fields)
