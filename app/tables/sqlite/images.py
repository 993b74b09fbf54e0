"""ImageTable in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from app.domain.claims import Claim, JobClaim
from app.domain.errors import ImageMissing, OwnerClosed, QuotaExceeded
from app.domain.events import Event
from app.domain.images import Image, ImageChanges, Quota, Tombstone, Usage
from app.domain.uploads import DirectUpload
from app.tables.sqlite.claims import require_claim
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.events import insert_events
from app.tables.sqlite.reservations import release
from app.tables.sqlite.rows import first, from_row, insert, to_value, to_values

_WALK_ROWS = 500
_AFTER_EVERY_ID = "\U0010ffff"

_FIND = "SELECT * FROM images WHERE owner_id = ? AND id = ?"
_PAGE = "SELECT * FROM images WHERE owner_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
_WALK = "SELECT * FROM images WHERE owner_id = ? AND id > ? ORDER BY id LIMIT ?"
# Without the hint, SQLite would scan all images of the owner.
_NEWEST_OF_PRODUCT = """
    SELECT * FROM images INDEXED BY images_by_ean WHERE owner_id = ? AND ean = ? ORDER BY id DESC LIMIT 1
"""
_BLOCKED = "SELECT 1 FROM blocked_owners WHERE owner_id = ?"
_TOMBSTONE = "SELECT 1 FROM tombstones WHERE owner_id = ? AND image_id = ?"
_USAGE = "SELECT images, bytes, reserved_bytes, open_uploads FROM usage WHERE owner_id = ?"
_OWNERS = "SELECT owner_id FROM usage WHERE images > 0 AND owner_id > ? ORDER BY owner_id LIMIT ?"
_COUNT = """
    INSERT INTO usage (owner_id, images, bytes) VALUES (?, 1, ?)
    ON CONFLICT (owner_id) DO UPDATE SET images = images + 1, bytes = bytes + excluded.bytes
"""
_UNCOUNT = "UPDATE usage SET images = images - 1, bytes = bytes - ? WHERE owner_id = ?"
_EDITABLE = ("filename", "description", "status", "focal_point", "custom_metadata")
_UPDATE_THUMBNAILS = """
    UPDATE images SET thumbnails = :thumbnails, placeholder = :placeholder, width = :width, height = :height
    WHERE owner_id = :owner_id AND id = :id RETURNING *
"""
_DISCARD = "DELETE FROM images WHERE owner_id = ? AND id = ?"
_REMOVE = "DELETE FROM images WHERE owner_id = ? AND id = ? RETURNING *"


class SqliteImageTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(
        self,
        image: Image,
        *,
        quota: Quota,
        claim: Claim | None = None,
        upload: DirectUpload | None = None,
        events: Sequence[Event] = (),
    ) -> None:
        add = partial(_add, image=image, quota=quota, claim=claim, upload=upload, events=events)
        await self._database.write(add)

    async def get(self, owner_id: str, image_id: str) -> Image:
        return _require(await self._database.read(_FIND, owner_id, image_id))

    async def page(self, owner_id: str, *, before: str | None, limit: int) -> Sequence[Image]:
        rows = await self._database.read(_PAGE, owner_id, _AFTER_EVERY_ID if before is None else before, limit)
        return [from_row(Image, row) for row in rows]

    async def edit(self, owner_id: str, image_id: str, *, changes: ImageChanges) -> Image:
        if not changes:
            return await self.get(owner_id, image_id)
        columns = ", ".join(f"{column} = ?" for column in _EDITABLE if column in changes)
        values: list[Any] = [to_value(changes[column]) for column in _EDITABLE if column in changes]
        edit = f"UPDATE images SET {columns} WHERE owner_id = ? AND id = ? RETURNING *"  # noqa: S608 - constant names
        return _require(await self._database.execute(edit, *values, owner_id, image_id))

    async def remove(
        self, owner_id: str, image_id: str, *, deleted_at: datetime | None = None, events: Sequence[Event] = ()
    ) -> Image:
        remove = partial(_remove, owner_id=owner_id, image_id=image_id, deleted_at=deleted_at, events=events)
        return await self._database.write(remove)

    async def discard(self, images: Sequence[Image]) -> None:
        def discard(writer: sqlite3.Connection) -> None:
            writer.executemany(_DISCARD, [(image.owner_id, image.id) for image in images])

        await self._database.write(discard)

    async def update_thumbnails(
        self, image: Image, *, claim: JobClaim | None = None, events: Sequence[Event] = ()
    ) -> None:
        await self._database.write(partial(_update_thumbnails, image=image, claim=claim, events=events))

    async def get_newest_of_product(self, owner_id: str, ean: str) -> Image:
        return _require(await self._database.read(_NEWEST_OF_PRODUCT, owner_id, ean))

    async def usage(self, owner_id: str) -> Usage:
        return first(Usage, await self._database.read(_USAGE, owner_id)) or Usage()

    async def owners(self) -> AsyncIterator[str]:
        last = ""
        while rows := await self._database.read(_OWNERS, last, _WALK_ROWS):
            for row in rows:
                yield row["owner_id"]
            last = rows[-1]["owner_id"]

    async def walk(self, owner_id: str, *, after: str = "") -> AsyncIterator[Image]:
        last = after
        while rows := await self._database.read(_WALK, owner_id, last, _WALK_ROWS):
            for row in rows:
                yield from_row(Image, row)
            last = rows[-1]["id"]

    async def check(self) -> None:
        await self._database.read("SELECT 1 FROM images LIMIT 1")
        await self._database.check_writable()


def _add(
    db: sqlite3.Connection,
    *,
    image: Image,
    quota: Quota,
    claim: Claim | None,
    upload: DirectUpload | None,
    events: Sequence[Event],
) -> None:
    if db.execute(_FIND, (image.owner_id, image.id)).fetchall():
        return
    require_claim(db, image.owner_id, claim)
    if db.execute(_TOMBSTONE, (image.owner_id, image.id)).fetchall():
        raise ImageMissing("The image was deleted while it was being stored.")
    if db.execute(_BLOCKED, (image.owner_id,)).fetchall():
        raise OwnerClosed
    if upload is not None:
        release(db, upload)
    usage = first(Usage, db.execute(_USAGE, (image.owner_id,)).fetchall()) or Usage()
    if quota.images and usage.images >= quota.images:
        raise QuotaExceeded
    if quota.bytes and usage.bytes + usage.reserved_bytes + image.size > quota.bytes:
        raise QuotaExceeded
    insert(db, "images", image, ean=image.source.ean if image.source else None)
    db.execute(_COUNT, (image.owner_id, image.size))
    insert_events(db, events)


def _remove(
    db: sqlite3.Connection, *, owner_id: str, image_id: str, deleted_at: datetime | None, events: Sequence[Event]
) -> Image:
    image = _require(db.execute(_REMOVE, (owner_id, image_id)).fetchall())
    db.execute(_UNCOUNT, (image.size, owner_id))
    if deleted_at is not None:
        insert(db, "tombstones", Tombstone(owner_id, image_id, deleted_at))
    insert_events(db, events)
    return image


def _update_thumbnails(
    db: sqlite3.Connection, *, image: Image, claim: JobClaim | None, events: Sequence[Event]
) -> None:
    require_claim(db, image.owner_id, claim)
    _require(db.execute(_UPDATE_THUMBNAILS, to_values(image)).fetchall())
    insert_events(db, events)


def _require(rows: list[sqlite3.Row]) -> Image:
    image = first(Image, rows)
    if image is None:
        raise ImageMissing
    return image
