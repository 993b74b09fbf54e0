"""The records of images in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from app.adapters.sqlite.claims import require_claim
from app.adapters.sqlite.database import SqliteDatabase
from app.adapters.sqlite.rows import image_from_row, image_to_values, thumbnails_to_text, time_to_text
from app.core.errors import ImageMissing, QuotaExceeded, TokenInvalid
from app.core.models import Claim, Image, JobClaim, Quota, Usage

_WALK_ROWS = 500
_AFTER_EVERY_ID = "\U0010ffff"

_FIND = "SELECT * FROM images WHERE owner_id = ? AND id = ?"
_PAGE = "SELECT * FROM images WHERE owner_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
_WALK = "SELECT * FROM images WHERE owner_id = ? AND id > ? ORDER BY id LIMIT ?"
# Left to itself SQLite would look through all images of the owner.
_NEWEST_OF_PRODUCT = """
    SELECT * FROM images INDEXED BY images_by_ean WHERE owner_id = ? AND ean = ? ORDER BY id DESC LIMIT 1
"""
_CLOSED = "SELECT 1 FROM closed_owners WHERE owner_id = ?"
_USAGE = "SELECT images, bytes FROM usage WHERE owner_id = ?"
_OWNERS = "SELECT owner_id FROM usage WHERE images > 0 AND owner_id > ? ORDER BY owner_id LIMIT ?"
_ADD = """
    INSERT INTO images VALUES (:owner_id, :id, :filename, :description, :content_type, :size, :sha256,
                               :width, :height, :uploaded_at, :placeholder, :thumbnails, :source, :ean)
"""
_COUNT = """
    INSERT INTO usage VALUES (?, 1, ?)
    ON CONFLICT (owner_id) DO UPDATE SET images = images + 1, bytes = bytes + excluded.bytes
"""
_UNCOUNT = "UPDATE usage SET images = images - 1, bytes = bytes - ? WHERE owner_id = ?"
_EDITABLE = ("filename", "description")
_REPLACE = """
    UPDATE images SET thumbnails = ?, placeholder = ?, width = ?, height = ? WHERE owner_id = ? AND id = ? RETURNING *
"""
_STORE_ID = "SELECT id FROM store"
_SET_STORE_ID = "INSERT INTO store VALUES (1, ?) ON CONFLICT DO NOTHING"
_REMOVE = "DELETE FROM images WHERE owner_id = ? AND id = ? RETURNING *"
_TOMBSTONE = "SELECT 1 FROM tombstones WHERE owner_id = ? AND image_id = ?"
_ADD_TOMBSTONE = "INSERT INTO tombstones VALUES (?, ?, ?, NULL)"


class SqliteImageTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add(self, image: Image, *, quota: Quota, claim: Claim | None = None) -> None:
        await self._database.write(partial(_add, image=image, quota=quota, claim=claim))

    async def get(self, owner_id: str, image_id: str) -> Image:
        return _the_image(await self._database.read(_FIND, owner_id, image_id))

    async def page(self, owner_id: str, *, before: str | None, limit: int) -> Sequence[Image]:
        rows = await self._database.read(_PAGE, owner_id, _AFTER_EVERY_ID if before is None else before, limit)
        return [image_from_row(row) for row in rows]

    async def edit(self, owner_id: str, image_id: str, *, changes: Mapping[str, str | None]) -> Image:
        if not changes:
            return await self.get(owner_id, image_id)
        columns = ", ".join(f"{column} = ?" for column in _EDITABLE if column in changes)
        values = [changes[column] for column in _EDITABLE if column in changes]
        edit = f"UPDATE images SET {columns} WHERE owner_id = ? AND id = ? RETURNING *"  # noqa: S608 - own names
        return _the_image(await self._database.execute(edit, *values, owner_id, image_id))

    async def remove(self, owner_id: str, image_id: str, *, deleted_at: datetime | None = None) -> Image:
        remove = partial(_remove, owner_id=owner_id, image_id=image_id, deleted_at=deleted_at)
        return await self._database.write(remove)

    async def replace(self, image: Image, *, claim: JobClaim | None = None) -> None:
        await self._database.write(partial(_replace, image=image, claim=claim))

    async def newest_of_product(self, owner_id: str, ean: str) -> Image:
        return _the_image(await self._database.read(_NEWEST_OF_PRODUCT, owner_id, ean))

    async def usage(self, owner_id: str) -> Usage:
        return _the_usage(await self._database.read(_USAGE, owner_id))

    async def owners(self) -> AsyncIterator[str]:
        last = ""
        while rows := await self._database.read(_OWNERS, last, _WALK_ROWS):
            for row in rows:
                yield row["owner_id"]
            last = rows[-1]["owner_id"]

    async def walk(self, owner_id: str) -> AsyncIterator[Image]:
        last = ""
        while rows := await self._database.read(_WALK, owner_id, last, _WALK_ROWS):
            for row in rows:
                yield image_from_row(row)
            last = rows[-1]["id"]

    async def store_id(self) -> str | None:
        rows = await self._database.read(_STORE_ID)
        return rows[0]["id"] if rows else None

    async def set_store_id(self, store_id: str) -> str:
        def set_id(writer: sqlite3.Connection) -> str:
            writer.execute(_SET_STORE_ID, (store_id,))
            kept: str = writer.execute(_STORE_ID).fetchone()["id"]
            return kept

        return await self._database.write(set_id)

    async def check(self) -> None:
        await self._database.read("SELECT 1 FROM images LIMIT 1")


def _add(db: sqlite3.Connection, *, image: Image, quota: Quota, claim: Claim | None) -> None:
    if db.execute(_FIND, (image.owner_id, image.id)).fetchall():
        return
    require_claim(db, image.owner_id, claim)
    if db.execute(_TOMBSTONE, (image.owner_id, image.id)).fetchall():
        raise ImageMissing("The image was deleted while it was being stored.")
    if db.execute(_CLOSED, (image.owner_id,)).fetchall():
        raise TokenInvalid("The account of this token was closed.")
    usage = _the_usage(db.execute(_USAGE, (image.owner_id,)).fetchall())
    if quota.images and usage.images >= quota.images:
        raise QuotaExceeded
    if quota.bytes and usage.bytes + image.size > quota.bytes:
        raise QuotaExceeded
    db.execute(_ADD, image_to_values(image))
    db.execute(_COUNT, (image.owner_id, image.size))


def _remove(db: sqlite3.Connection, *, owner_id: str, image_id: str, deleted_at: datetime | None) -> Image:
    image = _the_image(db.execute(_REMOVE, (owner_id, image_id)).fetchall())
    db.execute(_UNCOUNT, (image.size, owner_id))
    if deleted_at is not None:
        db.execute(_ADD_TOMBSTONE, (owner_id, image_id, time_to_text(deleted_at)))
    return image


def _replace(db: sqlite3.Connection, *, image: Image, claim: JobClaim | None) -> None:
    require_claim(db, image.owner_id, claim)
    values = (thumbnails_to_text(image.thumbnails), image.placeholder, image.width, image.height)
    _the_image(db.execute(_REPLACE, (*values, image.owner_id, image.id)).fetchall())


def _the_image(rows: Sequence[sqlite3.Row]) -> Image:
    if not rows:
        raise ImageMissing
    return image_from_row(rows[0])


def _the_usage(rows: Sequence[sqlite3.Row]) -> Usage:
    return Usage(rows[0]["images"], rows[0]["bytes"]) if rows else Usage()
