"""TimelineTable in DynamoDB: an entry for each image, whose sort key begins with its time, and a count for each month.

The transactions that add or remove an entry also change the count, which is therefore always the number of entries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from app.domain.images import Image
from app.domain.timeline import MonthCount, Period, Position, TimelinePage, month_of
from app.tables.dynamodb import keys
from app.tables.dynamodb.table import MAX_FOUND, Action, ConditionFailed, DynamoDBTable
from app.tables.serializer import from_fields

_IMAGES_PER_TRANSACTION = 30
"""Each needs at most three actions, and a transaction has at most 100."""


class DynamoDBTimelineTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def page_by_time(self, owner_id: str, *, period: Period, before: Position | None, limit: int) -> TimelinePage:
        start = {"ExclusiveStartKey": keys.taken_key(owner_id, before.time, before.image_id)} if before else {}
        found, _ = await self._table.query_page(
            KeyConditionExpression="#pk = :partition AND #sk BETWEEN :first AND :last",
            ScanIndexForward=False,
            Limit=limit + 1,
            values={
                "partition": keys.user_partition(owner_id),
                "first": f"{keys.TAKEN_PREFIX}{period.start or ''}",
                # The end is excluded, because the key of an image with this time is longer.
                "last": f"{keys.TAKEN_PREFIX}{period.end}" if period.end else keys.AFTER_TAKEN,
            },
            **start,
        )
        listed = found[:limit]
        items = await self._table.find_many([_record_key(entry) for entry in listed])
        images = {entry_key(image)["sk"]: image for image in (from_fields(Image, fields) for fields in items)}
        # An earlier version of the service removes a record without its entry.
        existing = [images[entry["sk"]] for entry in listed if entry["sk"] in images]
        return TimelinePage(existing, _position(listed[-1]) if len(found) > limit else None)

    async def months(self, owner_id: str) -> Sequence[MonthCount]:
        pages = self._table.query(
            KeyConditionExpression="#pk = :partition AND begins_with(#sk, :prefix)",
            ScanIndexForward=False,
            values={"partition": keys.user_partition(owner_id), "prefix": keys.MONTH_PREFIX},
        )
        counts = [(item["sk"].removeprefix(keys.MONTH_PREFIX), item["images"]) async for page in pages for item in page]
        return [MonthCount(month, images) for month, images in counts if images]

    async def add_missing(self, images: Sequence[Image]) -> int:
        listed = await self._table.find_many([entry_key(image) for image in images])
        missing = [image for image in images if entry_key(image) not in listed]
        added = 0
        for start in range(0, len(missing), _IMAGES_PER_TRANSACTION):
            batch = missing[start : start + _IMAGES_PER_TRANSACTION]
            # If an image was removed, or another process added it, the others are added one by one.
            added += await self._add_all(batch) or sum([await self._add_all([image]) for image in batch])
        return added

    async def remove_stale(self) -> int:
        pages = self._table.scan(
            FilterExpression="begins_with(#pk, :users) AND begins_with(#sk, :prefix)",
            ProjectionExpression="#pk, #sk",
            values={"users": keys.user_partition(""), "prefix": keys.TAKEN_PREFIX},
        )
        removed = 0
        async for entries in pages:
            for start in range(0, len(entries), MAX_FOUND):
                removed += await self._remove_stale(entries[start : start + MAX_FOUND])
        return removed

    async def _add_all(self, images: Sequence[Image]) -> int:
        """Add all of the images, or none if one has no record or is not missing. Return how many were added."""
        records = [_require(keys.image_key(image.owner_id, image.id), exists=True) for image in images]
        months = Counter((image.owner_id, month_of(image.sorting_time)) for image in images)
        counts = [_count(keys.month_key(*owner_and_month), number) for owner_and_month, number in months.items()]
        try:
            await self._table.transact(*records, *(_put(entry_key(image)) for image in images), *counts)
        except ConditionFailed:
            return 0
        return len(images)

    async def _remove_stale(self, entries: Sequence[keys.Key]) -> int:
        images = [from_fields(Image, fields) for fields in await self._table.find_many([*map(_record_key, entries)])]
        valid = [entry_key(image) for image in images]
        records = [keys.image_key(image.owner_id, image.id) for image in images]
        removed = 0
        for entry in entries:
            if entry not in valid:
                record = _record_key(entry)
                # A record that was added again after its removal may have another time than its first entry.
                removed += await self._remove(entry, [] if record in records else [_require(record, exists=False)])
        return removed

    async def _remove(self, entry: keys.Key, required: Sequence[Action]) -> bool:
        """Return False if `required` fails, or another process removed the entry."""
        month = keys.month_key(keys.user_of(entry["pk"]), month_of(_position(entry).time))
        try:
            await self._table.transact(*required, _delete(entry), _count(month, -1))
        except ConditionFailed:
            return False
        # Nothing may remain of an owner whose account was deleted.
        with suppress(ConditionFailed):
            await self._table.delete(month, ConditionExpression="#images = :none", values={"none": 0})
        return True


def add_entry(image: Image, *, is_listed: bool) -> list[Action]:
    """Return the actions that list and count a new image. The first fails unless the entry exists as `is_listed` says.

    An entry may be left of an image that an earlier version of the service removed.
    """
    entry = entry_key(image)
    return [_require(entry, exists=True)] if is_listed else [_put(entry), _count(_month_key(image), 1)]


def remove_entry(image: Image, *, is_listed: bool) -> list[Action]:
    """Return the actions that remove the entry. The first fails unless the entry exists as `is_listed` says.

    An image that an earlier version of the service added has no entry.
    """
    entry = entry_key(image)
    return [_delete(entry), _count(_month_key(image), -1)] if is_listed else [_require(entry, exists=False)]


def entry_key(image: Image) -> keys.Key:
    return keys.taken_key(image.owner_id, image.sorting_time, image.id)


def _month_key(image: Image) -> keys.Key:
    return keys.month_key(image.owner_id, month_of(image.sorting_time))


def _record_key(entry: keys.Key) -> keys.Key:
    return keys.image_key(keys.user_of(entry["pk"]), _position(entry).image_id)


def _position(entry: keys.Key) -> Position:
    time, _, image_id = entry["sk"].removeprefix(keys.TAKEN_PREFIX).partition("#")
    return Position(time, image_id)


def _put(entry: keys.Key) -> Action:
    return "Put", {"Item": entry, "ConditionExpression": "attribute_not_exists(#pk)"}


def _delete(entry: keys.Key) -> Action:
    return "Delete", {"Key": entry, "ConditionExpression": "attribute_exists(#pk)"}


def _count(month: keys.Key, change: int) -> Action:
    return "Update", {"Key": month, "UpdateExpression": "ADD #images :change", "values": {"change": change}}


def _require(key: keys.Key, *, exists: bool) -> Action:
    condition = "attribute_exists(#pk)" if exists else "attribute_not_exists(#pk)"
    return "ConditionCheck", {"Key": key, "ConditionExpression": condition}
