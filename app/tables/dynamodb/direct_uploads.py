"""DirectUploadTable in DynamoDB."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from app.domain.claims import ClaimLost, RequestClaim
from app.domain.errors import AppError, OwnerClosed, QuotaExceeded, TooManyOpenUploads
from app.domain.images import Quota
from app.domain.uploads import MAX_OPEN_UPLOADS, DirectUpload
from app.tables.dynamodb import keys
from app.tables.dynamodb.claims import require_claim
from app.tables.dynamodb.due_index import oldest_due
from app.tables.dynamodb.items import update_of, upload_from_item, upload_item
from app.tables.dynamodb.reservations import close_open, reserve, uncount
from app.tables.dynamodb.table import Action, ConditionFailed, DynamoDBTable

_CONCURRENT_READS = 20


class DynamoDBDirectUploadTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_upload(self, upload: DirectUpload, *, quota: Quota, claim: RequestClaim | None = None) -> None:
        put = {"Item": upload_item(upload), "ConditionExpression": "attribute_not_exists(#pk)"}
        actions: list[Action] = [("Put", put), reserve(upload, quota=quota)]
        actions += [require_claim(upload.owner_id, claim)] if claim else []
        try:
            await self._table.transact(*actions)
        except ConditionFailed as refusal:
            exists, _, *claim_failed = refusal.failed
            if exists:
                return
            if any(claim_failed):
                raise ClaimLost from refusal
            raise await self._refusal(upload.owner_id) from refusal

    async def find_upload(self, owner_id: str, upload_id: str) -> DirectUpload | None:
        fields = await self._table.find(keys.upload_key(owner_id, upload_id))
        return None if fields is None else upload_from_item(fields)

    async def save_progress(self, upload: DirectUpload, *, seen: DirectUpload) -> bool:
        changes = {"received": upload.received, "holder": upload.holder, "version": upload.version}
        update = update_of(changes)
        try:
            await self._table.update(
                keys.upload_key(upload.owner_id, upload.id),
                UpdateExpression=update["UpdateExpression"],
                ConditionExpression="#version = :seen",
                values={**update["values"], "seen": seen.version},
            )
        except ConditionFailed:
            # The SDK may have retried a write that succeeded.
            current = await self.find_upload(upload.owner_id, upload.id)
            now = current and (current.received, current.holder, current.version)
            return upload.holder is not None and now == (upload.received, upload.holder, upload.version)
        return True

    async def release_upload(self, upload: DirectUpload) -> None:
        await self._release(upload, close_open(upload))

    async def remove_upload(self, upload: DirectUpload) -> None:
        key = keys.upload_key(upload.owner_id, upload.id)
        delete = {"Key": key, "ConditionExpression": "#is_open = :yes", "values": {"yes": True}}
        await self._release(upload, ("Delete", delete))
        await self._table.delete(key)

    async def expired_uploads(self, *, before: datetime, limit: int) -> Sequence[DirectUpload]:
        found = await oldest_due(self._table, keys.DUE_UPLOADS, before=before, limit=limit)
        ids = [(keys.user_of(each["pk"]), each["sk"].removeprefix(keys.UPLOAD_PREFIX)) for each in found]
        uploads: list[DirectUpload | None] = []
        for start in range(0, len(ids), _CONCURRENT_READS):
            chunk = ids[start : start + _CONCURRENT_READS]
            uploads += await asyncio.gather(*(self.find_upload(*each) for each in chunk))
        return [upload for upload in uploads if upload is not None and upload.is_open]

    async def _release(self, upload: DirectUpload, close: Action) -> None:
        try:
            await self._table.transact(close, uncount(upload))
        except ConditionFailed as refusal:
            is_closed, _ = refusal.failed
            if not is_closed:
                # The owner's data were deleted, so there is nothing to count any more.
                await self._table.delete(keys.upload_key(upload.owner_id, upload.id))

    async def _refusal(self, owner_id: str) -> AppError:
        fields = await self._table.find(keys.usage_key(owner_id)) or {}
        if "closed_until" in fields:
            return OwnerClosed()
        return TooManyOpenUploads() if fields.get("open_uploads", 0) >= MAX_OPEN_UPLOADS else QuotaExceeded()
