"""ImageTable in DynamoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from app.domain.claims import Claim, ClaimLost, JobClaim
from app.domain.errors import AppError, DependencyUnavailable, ImageMissing, OwnerClosed, QuotaExceeded
from app.domain.events import Event
from app.domain.images import Image, ImageChanges, Quota, Tombstone, Usage
from app.domain.uploads import DirectUpload
from app.tables.dynamodb import keys
from app.tables.dynamodb.claims import require_claim
from app.tables.dynamodb.events import put_events
from app.tables.dynamodb.items import image_item, tombstone_item, update_of
from app.tables.dynamodb.reservations import close_open
from app.tables.dynamodb.table import Action, ConditionFailed, DynamoDBTable
from app.tables.dynamodb.timeline import add_entry, entry_key, remove_entry
from app.tables.serializer import from_fields, to_fields

_MAX_REMOVE_TRIES = 20
"""The thumbnails of a record change a few times in its life. More often than that is a fault."""
_MAX_TRIED = 10
"""How many images of a product are looked up, the newest first, until one is found."""


class DynamoDBImageTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add(
        self,
        image: Image,
        *,
        quota: Quota,
        claim: Claim | None = None,
        upload: DirectUpload | None = None,
        events: Sequence[Event] = (),
    ) -> None:
        upload = upload if upload and upload.is_open else None
        await self._add(image, quota=quota, claim=claim, upload=upload, events=events, is_listed=False)

    async def _add(
        self,
        image: Image,
        *,
        quota: Quota,
        claim: Claim | None,
        upload: DirectUpload | None,
        events: Sequence[Event],
        is_listed: bool,
    ) -> None:
        put = {"Item": image_item(image), "ConditionExpression": "attribute_not_exists(#pk)"}
        entry, *count_of_month = add_entry(image, is_listed=is_listed)
        actions: list[Action] = [
            ("Put", put),
            _require_no_tombstone(image),
            ("Update", _count(image, quota=quota, upload=upload)),
            entry,
        ]
        actions += [close_open(upload)] if upload else []
        actions += [require_claim(image.owner_id, claim)] if claim else []
        try:
            await self._table.transact(*actions, *count_of_month, *_put_ean(image), *put_events(events))
        except ConditionFailed as refusal:
            exists, is_deleted, is_refused, is_entry_refused, *others = refusal.failed
            if exists:
                return
            add_again = partial(self._add, image, quota=quota, claim=claim, events=events)
            if is_entry_refused:
                await add_again(upload=upload, is_listed=not is_listed)
                return
            if upload and others.pop(0):
                # The reservation was released in the meantime, so the image counts like any other.
                await add_again(upload=None, is_listed=is_listed)
                return
            if claim and others[0]:
                raise ClaimLost from refusal
            if is_deleted:
                raise ImageMissing("The image was deleted while it was being stored.") from refusal
            assert is_refused  # noqa: S101 - no other action has a condition
            raise await self._refusal(image.owner_id) from refusal

    async def get(self, owner_id: str, image_id: str) -> Image:
        fields = await self._table.find(keys.image_key(owner_id, image_id))
        if fields is None:
            raise ImageMissing
        return from_fields(Image, fields)

    async def page(self, owner_id: str, *, before: str | None, limit: int) -> Sequence[Image]:
        # The key to start after need not exist.
        start = {} if before is None else {"ExclusiveStartKey": keys.image_key(owner_id, before)}
        images: list[Image] = []
        async for items in self._table.query(**_all_images(owner_id), ScanIndexForward=False, Limit=limit, **start):
            images += [from_fields(Image, fields) for fields in items]
            # A response ends at 1 MB too, with fewer items than the limit.
            if len(images) >= limit:
                break
        return images[:limit]

    async def edit(self, owner_id: str, image_id: str, *, changes: ImageChanges) -> Image:
        if not changes:
            return await self.get(owner_id, image_id)
        return await self._update(owner_id, image_id, changes)

    async def remove(
        self, owner_id: str, image_id: str, *, deleted_at: datetime | None = None, events: Sequence[Event] = ()
    ) -> Image:
        is_counted = is_listed = True
        more = [_put_tombstone(Tombstone(owner_id, image_id, deleted_at))] if deleted_at else []
        more += put_events(events)
        for _ in range(_MAX_REMOVE_TRIES):
            image = await self.get(owner_id, image_id)
            uncount = [_uncount(image)] if is_counted else []
            entry, *count_of_month = remove_entry(image, is_listed=is_listed)
            actions = [_delete_unchanged(image), entry, *uncount, *count_of_month, *_delete_ean(image), *more]
            try:
                await self._table.transact(*actions)
            except ConditionFailed as refusal:
                is_listed = is_listed != refusal.failed[1]
                # The usage of an owner whose data were deleted is gone and must not come back.
                is_counted = is_counted and not refusal.failed[2]
                continue
            return image
        raise DependencyUnavailable("table")

    async def discard(self, images: Sequence[Image]) -> None:
        found_by_ean = [
            keys.ean_key(image.owner_id, image.source.ean, image.id) for image in images if image.source is not None
        ]
        records = [keys.image_key(image.owner_id, image.id) for image in images]
        await self._table.delete_many([*records, *map(entry_key, images), *found_by_ean])

    async def update_thumbnails(
        self, image: Image, *, claim: JobClaim | None = None, events: Sequence[Event] = ()
    ) -> None:
        fields = to_fields(image)
        changes = {name: fields[name] for name in ("thumbnails", "placeholder", "width", "height")}
        if claim is None and not events:
            await self._update(image.owner_id, image.id, changes)
            return
        required = [require_claim(image.owner_id, claim)] if claim else []
        update = {
            "Key": keys.image_key(image.owner_id, image.id),
            "ConditionExpression": "attribute_exists(#pk)",
            **update_of(changes),
        }
        try:
            await self._table.transact(("Update", update), *required, *put_events(events))
        except ConditionFailed as refusal:
            is_missing = refusal.failed[0]
            raise (ImageMissing if is_missing else ClaimLost) from refusal

    async def get_newest_of_product(self, owner_id: str, ean: str) -> Image:
        newest, _ = await self._table.query_page(
            KeyConditionExpression="#pk = :partition AND begins_with(#sk, :prefix)",
            ScanIndexForward=False,
            Limit=_MAX_TRIED,
            values={"partition": keys.user_partition(owner_id), "prefix": keys.ean_prefix(ean)},
        )
        for fields in newest:
            # If the image is removed at this moment, the one before it is the newest.
            with suppress(ImageMissing):
                return await self.get(owner_id, fields["image_id"])
        raise ImageMissing

    async def usage(self, owner_id: str) -> Usage:
        # The item of a blocked owner may hold nothing but the block.
        usage = from_fields(Usage, await self._table.find(keys.usage_key(owner_id)) or {})
        # The attribute includes what is reserved, so that a condition on one attribute enforces the quota.
        return replace(usage, bytes=usage.bytes - usage.reserved_bytes)

    async def owners(self) -> AsyncIterator[str]:
        pages = self._table.scan(
            FilterExpression="#sk = :usage AND #images > :none",
            ProjectionExpression="#pk",
            values={"usage": keys.USAGE, "none": 0},
        )
        async for items in pages:
            for fields in items:
                yield keys.user_of(fields["pk"])

    async def walk(self, owner_id: str, *, after: str = "") -> AsyncIterator[Image]:
        start = {"ExclusiveStartKey": keys.image_key(owner_id, after)} if after else {}
        async for items in self._table.query(**_all_images(owner_id), **start):
            for fields in items:
                yield from_fields(Image, fields)

    async def check(self) -> None:
        await self._table.check()

    async def _update(self, owner_id: str, image_id: str, changes: Mapping[str, Any]) -> Image:
        try:
            fields = await self._table.update(
                keys.image_key(owner_id, image_id), ConditionExpression="attribute_exists(#pk)", **update_of(changes)
            )
        except ConditionFailed as refusal:
            raise ImageMissing from refusal
        return from_fields(Image, fields)

    async def _refusal(self, owner_id: str) -> AppError:
        fields = await self._table.find(keys.usage_key(owner_id)) or {}
        return OwnerClosed() if "closed_until" in fields else QuotaExceeded()


def _all_images(owner_id: str) -> dict[str, Any]:
    return {
        "KeyConditionExpression": "#pk = :partition AND begins_with(#sk, :prefix)",
        "values": {"partition": keys.user_partition(owner_id), "prefix": keys.IMAGE_PREFIX},
    }


def _count(image: Image, *, quota: Quota, upload: DirectUpload | None) -> dict[str, Any]:
    reserved = upload.size if upload else 0
    values: dict[str, int] = {"one": 1, "size": image.size - reserved}
    update = "ADD #images :one, #bytes :size"
    if upload:
        values |= {"released": -reserved, "minus_one": -1}
        update += ", #reserved_bytes :released, #open_uploads :minus_one"
    conditions: list[str] = []
    if quota.images:
        values["max_images"] = quota.images
        conditions.append("#images < :max_images")
    if quota.bytes:
        values["room"] = quota.bytes - image.size + reserved
        conditions.append("#bytes <= :room")
    condition = " AND ".join(conditions)
    if condition and values.get("room", 0) >= 0:
        condition = f"attribute_not_exists(#images) OR ({condition})"
    is_open = "attribute_not_exists(#closed_until)"
    return {
        "Key": keys.usage_key(image.owner_id),
        "UpdateExpression": update,
        "ConditionExpression": f"{is_open} AND ({condition})" if condition else is_open,
        "values": values,
    }


def _uncount(image: Image) -> Action:
    return "Update", {
        "Key": keys.usage_key(image.owner_id),
        "UpdateExpression": "ADD #images :one, #bytes :size",
        "ConditionExpression": "attribute_exists(#images)",
        "values": {"one": -1, "size": -image.size},
    }


def _delete_unchanged(image: Image) -> Action:
    # The caller deletes the objects that the record names. If its thumbnails changed, it has to be read again.
    return "Delete", {
        "Key": keys.image_key(image.owner_id, image.id),
        "ConditionExpression": "#thumbnails = :thumbnails",
        "values": {"thumbnails": to_fields(image)["thumbnails"]},
    }


def _require_no_tombstone(image: Image) -> Action:
    key = keys.tombstone_key(image.owner_id, image.id)
    return "ConditionCheck", {"Key": key, "ConditionExpression": "attribute_not_exists(#pk)"}


def _put_tombstone(tombstone: Tombstone) -> Action:
    return "Put", {"Item": tombstone_item(tombstone)}


def _put_ean(image: Image) -> list[Action]:
    if image.source is None:
        return []
    return [("Put", {"Item": {**keys.ean_key(image.owner_id, image.source.ean, image.id), "image_id": image.id}})]


def _delete_ean(image: Image) -> list[Action]:
    if image.source is None:
        return []
    return [("Delete", {"Key": keys.ean_key(image.owner_id, image.source.ean, image.id)})]
