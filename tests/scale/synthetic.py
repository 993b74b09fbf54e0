"""Computed images: a table and a store of any size that need neither memory nor a disk, except for what is deleted.

Image number n belongs to owner n // 20. One in 1,000 images has no record, one in 200 has no objects, and one in 200
owners has no object at all.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.domain.errors import ImageMissing
from app.domain.events import Event
from app.domain.images import Image
from app.domain.object_keys import IMAGES_PREFIX, image_folder
from app.domain.objects import StoredObject

IMAGES_PER_OWNER = 20
_STORED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_NAMES = ("metadata.json", "original.jpg")


class Synthetic:
    def __init__(self, folder: Path, images: int) -> None:
        self.images = images
        # What is deleted outlives the process. A key or a record that is deleted twice is an error.
        self._deleted = sqlite3.connect(folder / "deleted.db", isolation_level=None, timeout=300)
        self._deleted.execute("PRAGMA journal_mode = WAL")
        self._deleted.execute("PRAGMA synchronous = OFF")
        self._deleted.execute("CREATE TABLE IF NOT EXISTS deleted (name TEXT PRIMARY KEY) WITHOUT ROWID")

    def image(self, number: int) -> Image:
        return Image(
            id=f"{number:08x}-0000-7000-8000-{number:012x}",
            owner_id=f"owner{number // IMAGES_PER_OWNER:07}",
            filename="a.jpg",
            description=None,
            content_type="image/jpeg",
            size=5,
            sha256="0" * 64,
            width=9,
            height=9,
            uploaded_at=_STORED_AT,
            placeholder=None,
            thumbnails=(),
        )

    def folder(self, number: int) -> str:
        image = self.image(number)
        return image_folder(image.owner_id, image.id)

    def is_lost(self, number: int) -> bool:
        return number % 200 == 2 or number // IMAGES_PER_OWNER % 200 == 7

    def is_orphan(self, number: int) -> bool:
        return number % 1000 == 501

    def deleted(self) -> list[str]:
        return [name for (name,) in self._deleted.execute("SELECT name FROM deleted ORDER BY name")]

    def is_deleted(self, name: str) -> bool:
        return bool(self._deleted.execute("SELECT 1 FROM deleted WHERE name = ?", (name,)).fetchall())

    def mark_deleted(self, name: str) -> None:
        self._deleted.execute("INSERT INTO deleted VALUES (?)", (name,))


class SyntheticStore:
    """The objects of all images, and real objects with other prefixes, which are few."""

    def __init__(self, synthetic: Synthetic, others: Path, *, after: timedelta) -> None:
        self._synthetic = synthetic
        self._others = others
        self._after = after

    async def now(self) -> datetime:
        return datetime.now(UTC) + self._after

    async def put(self, key: str, data: bytes, *, content_type: str, durable: bool = True) -> None:
        (self._others / key.replace("/", "~")).write_bytes(data)

    async def make_durable(self, keys: Collection[str]) -> None:
        pass

    async def size(self, key: str) -> int | None:
        if key.startswith(IMAGES_PREFIX):
            return 5 if [stored async for stored in self.walk(key)] else None
        return 0 if (self._others / key.replace("/", "~")).exists() else None

    async def delete(self, keys: Collection[str]) -> None:
        for key in keys:
            if not key.startswith(IMAGES_PREFIX):
                (self._others / key.replace("/", "~")).unlink()
            elif await self.size(key) is not None:
                self._synthetic.mark_deleted(key)

    async def walk(self, prefix: str, *, after: str = "") -> AsyncIterator[StoredObject]:
        if not prefix.startswith(IMAGES_PREFIX):
            return
        synthetic = self._synthetic
        first = bisect_right(range(synthetic.images), max(after, prefix), key=lambda n: f"{synthetic.folder(n)}~")
        for number in range(first, synthetic.images):
            folder = synthetic.folder(number)
            if not (folder.startswith(prefix) or prefix.startswith(folder)):
                return
            if synthetic.is_lost(number):
                continue
            for name in _NAMES:
                key = folder + name
                if key > after and key.startswith(prefix) and not self._is_deleted(number, key):
                    yield StoredObject(key, 5, _STORED_AT)

    def _is_deleted(self, number: int, key: str) -> bool:
        return self._synthetic.is_orphan(number) and self._synthetic.is_deleted(key)


class SyntheticImages:
    def __init__(self, synthetic: Synthetic) -> None:
        self._synthetic = synthetic

    async def get(self, owner_id: str, image_id: str) -> Image:
        number = int(image_id[:8], 16)
        if not self._has_record(number):
            raise ImageMissing
        return self._synthetic.image(number)

    async def page(self, owner_id: str, *, before: str | None, limit: int) -> Sequence[Image]:
        return [image async for image in self.walk(owner_id)][-limit:]

    async def walk(self, owner_id: str, *, after: str = "") -> AsyncIterator[Image]:
        # A reconcile run also asks for owners that do not exist, where it has divided the keys between two owners.
        digits = owner_id.removeprefix("owner")
        first = int(digits) * IMAGES_PER_OWNER if digits.isdigit() else self._synthetic.images
        for number in range(first, min(first + IMAGES_PER_OWNER, self._synthetic.images)):
            image = self._synthetic.image(number)
            if image.owner_id == owner_id and image.id > after and self._has_record(number):
                yield image

    async def remove(self, owner_id: str, image_id: str, *, events: Sequence[Event] = ()) -> Image:
        image = await self.get(owner_id, image_id)
        self._synthetic.mark_deleted(image_id)
        return image

    def _has_record(self, number: int) -> bool:
        if self._synthetic.is_orphan(number):
            return False
        return not self._synthetic.is_lost(number) or not self._synthetic.is_deleted(self._synthetic.image(number).id)


class SyntheticOwners:
    def __init__(self, synthetic: Synthetic) -> None:
        self._owners = synthetic.images // IMAGES_PER_OWNER

    async def page_owners(self, *, after: str | None, limit: int) -> Sequence[str]:
        first = int(after.removeprefix("owner")) + 1 if after else 0
        return [f"owner{number:07}" for number in range(first, min(first + limit, self._owners))]
