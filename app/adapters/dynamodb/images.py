"""The records of images in DynamoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from app.adapters.dynamodb.claims import require_claim
from app.adapters.dynamodb.items import (
    IMAGE_PREFIX,
    STORE_KEY,
    USAGE,
    change_to,
    ean_key,
    ean_prefix,
    image_key,
    tombstone_key,
    usage_key,
    user_of,
    user_partition,
)
from app.adapters.dynamodb.records import (
    image_from_fields,
    image_to_fields,
    thumbnails_to_list,
    tombstone_to_fields,
)
from app.adapters.dynamodb.table import ConditionFailedError, DynamoDBTable
from app.core.errors import AppError, DependencyUnavailable, ImageMissing, QuotaExceeded, TokenInvalid
from app.core.models import Claim, ClaimLost, Image, JobClaim, Quota, Tombstone, Usage

Action = tuple[str, Mapping[str, Any]]

_REMOVE_TRIES = 20
"""The thumbnails of a record change a few times in its life; more often than that is a fault."""


class DynamoDBImageTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add(self, image: Image, *, quota: Quota, claim: Claim | None = None) -> None:
        put = {"Item": image_to_fields(image), "ConditionExpression": "attribute_not_exists(#pk)"}
        actions: list[Action] = [("Put", put), _require_no_tombstone(image), ("Update", _count(image, quota=quota))]
        actions += [require_claim(image.owner_id, claim)] if claim else []
        try:
            await self._table.transact(*actions, *_put_ean(image))
        except ConditionFailedError as refusal:
            is_there_already, is_deleted, is_refused, *rest = refusal.failed
            if is_there_already:
                return
            if claim and rest[0]:
                raise ClaimLost from refusal
            if is_deleted:
                raise ImageMissing("The image was deleted while it was being stored.") from refusal
            assert is_refused  # noqa: S101 - no other action has a condition
            raise await self._refusal(image.owner_id) from refusal

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
        return await self._update(owner_id, image_id, changes)

    async def remove(self, owner_id: str, image_id: str, *, deleted_at: datetime | None = None) -> Image:
        is_counted = True
        tombstone = [_put_tombstone(Tombstone(owner_id, image_id, deleted_at))] if deleted_at else []
        for _ in range(_REMOVE_TRIES):
            image = await self.get(owner_id, image_id)
            uncount = [_uncount(image)] if is_counted else []
            try:
                await self._table.transact(*uncount, _delete_as_read(image), *_delete_ean(image), *tombstone)
            except ConditionFailedError as refusal:
                # The usage of an owner that was forgotten is gone, and is not to come back.
                is_counted = is_counted and not refusal.failed[0]
                continue
            return image
        raise DependencyUnavailable("table")

    async def replace(self, image: Image, *, claim: JobClaim | None = None) -> None:
        changes = {
            "thumbnails": thumbnails_to_list(image),
            "placeholder": image.placeholder,
            "width": image.width,
            "height": image.height,
        }
        if claim is None:
            await self._update(image.owner_id, image.id, changes)
            return
        update = {
            "Key": image_key(image.owner_id, image.id),
            "ConditionExpression": "attribute_exists(#pk)",
            **change_to(changes),
        }
        try:
            await self._table.transact(("Update", update), require_claim(image.owner_id, claim))
        except ConditionFailedError as refusal:
            is_missing = refusal.failed[0]
            raise (ImageMissing if is_missing else ClaimLost) from refusal

    async def newest_of_product(self, owner_id: str, ean: str) -> Image:
        pages = self._table.query(
            KeyConditionExpression="#pk = :partition AND begins_with(#sk, :prefix)",
            ScanIndexForward=False,
            Limit=1,
            values={"partition": user_partition(owner_id), "prefix": ean_prefix(ean)},
        )
        async for items in pages:
            for fields in items:
                # One that is removed just now leaves the one before it.
                with suppress(ImageMissing):
                    return await self.get(owner_id, fields["image_id"])
        raise ImageMissing

    async def usage(self, owner_id: str) -> Usage:
        fields = await self._table.find(usage_key(owner_id))
        # A closed owner may have no more than that mark there.
        return Usage(fields.get("images", 0), fields.get("bytes", 0)) if fields else Usage()

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

    async def _update(self, owner_id: str, image_id: str, changes: Mapping[str, Any]) -> Image:
        try:
            fields = await self._table.update(
                image_key(owner_id, image_id), ConditionExpression="attribute_exists(#pk)", **change_to(changes)
            )
        except ConditionFailedError as refusal:
            raise ImageMissing from refusal
        return image_from_fields(fields)

    async def _refusal(self, owner_id: str) -> AppError:
        fields = await self._table.find(usage_key(owner_id))
        if fields and "closed_until" in fields:
            return TokenInvalid("The account of this token was closed.")
        return QuotaExceeded()


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
        condition = f"attribute_not_exists(#images) OR ({condition})"
    is_open = "attribute_not_exists(#closed_until)"
    return {
        "Key": usage_key(image.owner_id),
        "UpdateExpression": "ADD #images :one, #bytes :size",
        "ConditionExpression": f"{is_open} AND ({condition})" if condition else is_open,
        "values": values,
    }


def _uncount(image: Image) -> Action:
    uncount = {
        "Key": usage_key(image.owner_id),
        "UpdateExpression": "ADD #images :one, #bytes :size",
        "ConditionExpression": "attribute_exists(#images)",
        "values": {"one": -1, "size": -image.size},
    }
    return "Update", uncount


# Whoever removes a record deletes the objects it names: if its thumbnails changed since, it must be read again.
def _delete_as_read(image: Image) -> Action:
    delete = {
        "Key": image_key(image.owner_id, image.id),
        "ConditionExpression": "#thumbnails = :thumbnails",
        "values": {"thumbnails": thumbnails_to_list(image)},
    }
    return "Delete", delete


def _require_no_tombstone(image: Image) -> Action:
    check = {"Key": tombstone_key(image.owner_id, image.id), "ConditionExpression": "attribute_not_exists(#pk)"}
    return "ConditionCheck", check


def _put_tombstone(tombstone: Tombstone) -> Action:
    return "Put", {"Item": tombstone_to_fields(tombstone)}


def _put_ean(image: Image) -> list[Action]:
    if image.source is None:
        return []
    return [("Put", {"Item": {**ean_key(image.owner_id, image.source.ean, image.id), "image_id": image.id}})]


def _delete_ean(image: Image) -> list[Action]:
    if image.source is None:
        return []
    return [("Delete", {"Key": ean_key(image.owner_id, image.source.ean, image.id)})]
