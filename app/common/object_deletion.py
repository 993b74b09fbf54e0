"""Deletes the objects of deleted images, and retries until none is left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from app.domain.errors import AppError
from app.domain.images import Image, Tombstone
from app.domain.object_keys import image_folder
from app.ports.clock import Clock
from app.ports.storage import ObjectStore
from app.ports.tables import TombstoneTable

_REQUEST_TIME = timedelta(seconds=30)
"""How long the request that wrote a tombstone has to delete the objects itself."""
_BATCH = 100

_log = structlog.stdlib.get_logger(__name__)


class ObjectDeletion:
    def __init__(self, *, store: ObjectStore, tombstones: TombstoneTable, clock: Clock) -> None:
        self._store = store
        self._tombstones = tombstones
        self._clock = clock

    async def delete_objects(self, image: Image, *, deleted_at: datetime) -> None:
        """Delete the objects of a record that was removed with a tombstone. After a failure, `finish` retries."""
        tombstone = Tombstone(image.owner_id, image.id, deleted_at)
        try:
            # The record does not list everything: images are rendered in other sizes on demand.
            await self.finish_one(tombstone)
        except AppError as error:
            _log.warning("deletion.retried_later", image_id=image.id, cause=error.code)

    async def finish(self) -> None:
        """Delete the objects of all images with open tombstones. Raises DependencyUnavailable at the first failure."""
        while found := await self._open_tombstones():
            for tombstone in found:
                await self.finish_one(tombstone)
            _log.info("deletions.finished", images=len(found))
            if len(found) < _BATCH:
                return

    async def finish_one(self, tombstone: Tombstone) -> int:
        """Delete all objects of the image, close its tombstone, and return the number of objects."""
        folder = image_folder(tombstone.owner_id, tombstone.image_id)
        keys = [stored.key async for stored in self._store.walk(folder)]
        await self._store.delete(keys)
        await self._tombstones.close_tombstone(tombstone, now=self._clock())
        return len(keys)

    async def _open_tombstones(self) -> Sequence[Tombstone]:
        before = self._clock() - _REQUEST_TIME
        return await self._tombstones.open_tombstones(deleted_before=before, limit=_BATCH)
