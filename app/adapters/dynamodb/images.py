"""The records of images in DynamoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from app.adapters.dynamodb.items import (
    IMAGE_PREFIX,
    STORE_KEY,
    USAGE,
    image_from_fields,
    image_key,
    image_to_fields,
    thumbnails_to_list,
    usage_key,
    user_of,
    user_partition,
)
from app.adapters.dynamodb.table import ConditionFailedError, DynamoDBTable
from app.core.errors import DependencyUnavailable, ImageMissing, QuotaExceeded
from app.core.models import Image, Quota, Usage

_REMOVE_TRIES = 20
"""The thumbnails of a record change a few times in its life; more often than that is a fault."""


class DynamoDBImageTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add(self, image: Image, *, quota: Quota) -> None:
        put = {"Item": image_to_fields(image), "ConditionExpression": "attribute_not_exists(#pk)"}
        try:
            await self._table.transact(("Put", put), ("Update", _count(image, quota=quota)))
        except ConditionFailedError as refusal:
            is_there_already, _ = refusal.failed
            if not is_there_already:
                raise QuotaExceeded from refusal

    async def get(self, owner_id: str, image_id: str) -> Image:
        fields = await self._table.find(image_key(owner_id, image_id))
        if fields is None:
            raise ImageMissing
        return image_from_fields(fields)

    async def page(self, owner_id: str, *, before: str | None, limit: int) -> Sequence[Image]:
        # The key to start after need not exist.
        start = {} if before is None else {"ExclusiveStartKey": image_key(owner_id, before)}
        images: list[Image] = []
        async for items in self._table.query(**_all_images(owner_id), ScanIndexForward=False, Limit=limit, **start):
            images += map(image_from_fields, items)
            # An answer ends at 1 MB as well, with fewer than the limit.
            if len(images) >= limit:
                break
        return images[:limit]

    async def edit(self, owner_id: str, image_id: str, *, changes: Mapping[str, str | None]) -> Image:
        if not changes:
            return await self.get(owner_id, image_id)
        values = {name: value for name, value in changes.items() if value is not None}
        sets = ", ".join(f"#{name} = :{name}" for name in values)
        removes = ", ".join(f"#{name}" for name in changes if name not in values)
        change = " ".join(filter(None, (sets and f"SET {sets}", removes and f"REMOVE {removes}")))
        return await self._update(owner_id, image_id, change=change, values=values)

    async def remove(self, owner_id: str, image_id: str) -> Image:
        for _ in range(_REMOVE_TRIES):
            image = await self.get(owner_id, image_id)
            try:
                await self._table.transact(("Delete", _delete_as_read(image)), ("Update", _uncount(image)))
            except ConditionFailedError:
                continue
            return image
        raise DependencyUnavailable("table")

    async def replace(self, image: Image) -> None:
        values = {"thumbnails": thumbnails_to_list(image)}
        await self._update(image.owner_id, image.id, change="SET #thumbnails = :thumbnails", values=values)

    async def usage(self, owner_id: str) -> Usage:
        fields = await self._table.find(usage_key(owner_id))
        return Usage() if fields is None else Usage(fields["images"], fields["bytes"])

    async def owners(self) -> AsyncIterator[str]:
        pages = self._table.scan(
            FilterExpression="#sk = :usage AND #images > :none",
            ProjectionExpression="#pk",
            values={"usage": USAGE, "none": 0},
        )
        async for items in pages:
            for fields in items:
                yield user_of(fields["pk"])

    async def walk(self, owner_id: str) -> AsyncIterator[Image]:
        async for items in self._table.query(**_all_images(owner_id)):
            for fields in items:
                yield image_from_fields(fields)

    async def store_id(self) -> str | None:
        fields = await self._table.find(STORE_KEY)
        return None if fields is None else str(fields["id"])

    async def set_store_id(self, store_id: str) -> str:
        with suppress(ConditionFailedError):
            await self._table.put({**STORE_KEY, "id": store_id}, ConditionExpression="attribute_not_exists(#pk)")
        fields = await self._table.find(STORE_KEY)
        return str((fields or {})["id"])

    async def check(self) -> None:
        await self._table.check()

    async def _update(self, owner_id: str, image_id: str, *, change: str, values: Mapping[str, Any]) -> Image:
        try:
            fields = await self._table.update(
                image_key(owner_id, image_id),
                UpdateExpression=change,
                ConditionExpression="attribute_exists(#pk)",
                values=values,
            )
        except ConditionFailedError as refusal:
            raise ImageMissing from refusal
        return image_from_fields(fields)


def _all_images(owner_id: str) -> dict[str, Any]:
    return {
        "KeyConditionExpression": "#pk = :partition AND begins_with(#sk, :prefix)",
        "values": {"partition": user_partition(owner_id), "prefix": IMAGE_PREFIX},
    }


def _count(image: Image, *, quota: Quota) -> dict[str, Any]:
    values: dict[str, int] = {"one": 1, "size": image.size}
    conditions: list[str] = []
    if quota.images:
        values["most_images"] = quota.images
        conditions.append("#images < :most_images")
    if quota.bytes:
        values["room"] = quota.bytes - image.size
        conditions.append("#bytes <= :room")
    condition = " AND ".join(conditions)
    if condition and values.get("room", 0) >= 0:
        condition = f"attribute_not_exists(#pk) OR ({condition})"
    return {
        "Key": usage_key(image.owner_id),
        "UpdateExpression": "ADD #images :one, #bytes :size",
        **({"ConditionExpression": condition} if condition else {}),
        "values": values,
    }


# Whoever removes a record deletes the objects it names: if its thumbnails changed since, it must be read again.
def _delete_as_read(image: Image) -> dict[str, Any]:
    return {
        "Key": image_key(image.owner_id, image.id),
        "ConditionExpression": "#thumbnails = :thumbnails",
        "values": {"thumbnails": thumbnails_to_list(image)},
    }


def _uncount(image: Image) -> dict[str, Any]:
    return {
        "Key": usage_key(image.owner_id),
        "UpdateExpression": "ADD #images :one, #bytes :size",
        "values": {"one": -1, "size": -image.size},
    }
