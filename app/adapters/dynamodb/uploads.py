"""Direct uploads in DynamoDB."""

from __future__ import annotations

from app.adapters.dynamodb.claims import add_new
from app.adapters.dynamodb.items import upload_key
from app.adapters.dynamodb.records import upload_from_fields, upload_to_fields
from app.adapters.dynamodb.table import DynamoDBTable
from app.core.models import DirectUpload, RequestClaim


class DynamoDBDirectUploadTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_upload(self, upload: DirectUpload, *, claim: RequestClaim | None = None) -> None:
        await add_new(self._table, upload_to_fields(upload), owner_id=upload.owner_id, claim=claim)

    async def find_upload(self, owner_id: str, upload_id: str) -> DirectUpload | None:
        fields = await self._table.find(upload_key(owner_id, upload_id))
        return None if fields is None else upload_from_fields(fields)
