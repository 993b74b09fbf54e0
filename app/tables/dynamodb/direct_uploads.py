"""DirectUploadTable in DynamoDB."""

from __future__ import annotations

from app.domain.claims import RequestClaim
from app.domain.uploads import DirectUpload
from app.tables.dynamodb.claims import add_new
from app.tables.dynamodb.items import upload_from_item, upload_item
from app.tables.dynamodb.keys import upload_key
from app.tables.dynamodb.table import DynamoDBTable


class DynamoDBDirectUploadTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_upload(self, upload: DirectUpload, *, claim: RequestClaim | None = None) -> None:
        await add_new(self._table, upload_item(upload), owner_id=upload.owner_id, claim=claim)

    async def find_upload(self, owner_id: str, upload_id: str) -> DirectUpload | None:
        fields = await self._table.find(upload_key(owner_id, upload_id))
        return None if fields is None else upload_from_item(fields)
