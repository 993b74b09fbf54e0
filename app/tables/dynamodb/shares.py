"""ShareTable in DynamoDB: the share is in its owner's partition, and another item tells whose share it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.domain.shares import Share
from app.tables.dynamodb import keys
from app.tables.dynamodb.items import share_item, update_of
from app.tables.dynamodb.table import ConditionFailed, DynamoDBTable
from app.tables.serializer import from_fields

_PAGE = 100


class DynamoDBShareTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_share(self, share: Share) -> None:
        owner = {**keys.share_owner_key(share.id), "owner_id": share.owner_id}
        await self._table.transact(("Put", {"Item": owner}), ("Put", {"Item": share_item(share)}))

    async def find_share(self, share_id: str) -> Share | None:
        owner = await self._table.find(keys.share_owner_key(share_id))
        fields = await self._table.find(keys.share_key(owner["owner_id"], share_id)) if owner else None
        return from_fields(Share, fields) if fields else None

    async def page_shares(self, owner_id: str, *, before: str | None, limit: int) -> Sequence[Share]:
        # The key to start after need not exist.
        start = {} if before is None else {"ExclusiveStartKey": keys.share_key(owner_id, before)}
        shares: list[Share] = []
        async for items in self._table.query(
            KeyConditionExpression="#pk = :partition AND begins_with(#sk, :prefix)",
            ScanIndexForward=False,
            Limit=limit,
            values={"partition": keys.user_partition(owner_id), "prefix": keys.SHARE_PREFIX},
            **start,
        ):
            shares += [from_fields(Share, fields) for fields in items]
            # A response ends at 1 MB too, with fewer items than the limit.
            if len(shares) >= limit:
                break
        return shares[:limit]

    async def edit_share(self, owner_id: str, share_id: str, *, changes: Mapping[str, object]) -> Share | None:
        try:
            fields = await self._table.update(
                keys.share_key(owner_id, share_id), ConditionExpression="attribute_exists(#pk)", **update_of(changes)
            )
        except ConditionFailed:
            return None
        return from_fields(Share, fields)

    async def remove_share(self, owner_id: str, share_id: str) -> bool:
        key = keys.share_key(owner_id, share_id)
        if await self._table.find(key) is None:
            return False
        await self._table.delete_many([key, keys.share_owner_key(share_id)])
        return True

    async def remove_shares(self, owner_id: str) -> None:
        while shares := await self.page_shares(owner_id, before=None, limit=_PAGE):
            for share in shares:
                await self.remove_share(owner_id, share.id)
