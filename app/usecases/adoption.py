"""Rebuilds records from originals that have none, as after a copy of the table was restored beside newer objects."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.core import filenames
from app.core.errors import AppError, ImageMissing, ObjectMissing
from app.core.formats import FORMATS_BY_EXTENSION, SNIFF_BYTES
from app.core.ids import is_id
from app.core.models import IMAGES_PREFIX, StoredObject, User, sidecar_key
from app.core.ports import ImageTable, ObjectStore, OwnerTable, TombstoneTable
from app.core.threads import on_disk
from app.usecases.sidecars import MAX_BYTES, Sidecar, read_sidecar
from app.usecases.spool import Spool
from app.usecases.uploads import ReceivedFile, Uploads

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An original without a record, and what its record would say."""

    owner_id: str
    image_id: str
    original_key: str
    size: int
    modified_at: datetime
    sidecar: Sidecar


class Adoption:
    def __init__(
        self,
        *,
        store: ObjectStore,
        images: ImageTable,
        owners: OwnerTable,
        tombstones: TombstoneTable,
        uploads: Uploads,
        spool: Spool,
    ) -> None:
        self._store = store
        self._images = images
        self._owners = owners
        self._tombstones = tombstones
        self._uploads = uploads
        self._spool = spool

    async def candidates(self) -> AsyncIterator[Candidate]:
        """Yield each original that has no record, was not deleted by its owner, and whose owner is not closed."""
        async for stored in self._store.walk(IMAGES_PREFIX):
            _, *parts = stored.key.split("/")
            if len(parts) == 3 and is_id(parts[1]) and parts[2].startswith("original."):  # noqa: PLR2004
                owner_id, image_id, _ = parts
                if await self._may_be_adopted(owner_id, image_id, stored):
                    sidecar = await self._sidecar(owner_id, image_id, stored)
                    yield Candidate(owner_id, image_id, stored.key, stored.size, stored.modified_at, sidecar)

    async def adopt(self, candidate: Candidate) -> str:
        """Add the record of a candidate; return `adopted`, or the code of the error that prevents it."""
        try:
            await self._adopt(candidate)
        except AppError as error:
            _log.warning("adoption.refused", image_id=candidate.image_id, cause=error.code)
            return error.code
        _log.info("adoption.adopted", image_id=candidate.image_id)
        return "adopted"

    async def _may_be_adopted(self, owner_id: str, image_id: str, stored: StoredObject) -> bool:
        try:
            await self._images.get(owner_id, image_id)
        except ImageMissing:
            pass
        else:
            return False
        if await self._tombstones.find_tombstone(owner_id, image_id) or await self._owners.is_closed(owner_id):
            return False
        deleted_at = await self._owners.deleted_at(owner_id)
        return deleted_at is None or stored.modified_at > deleted_at

    async def _adopt(self, candidate: Candidate) -> None:
        user = User(candidate.owner_id)
        async with self._spool.file() as file:
            sha256 = await self._store.fetch(candidate.original_key, file, max_bytes=candidate.size)
            received = ReceivedFile(
                file=file,
                size=candidate.size,
                sha256=sha256,
                format=self._uploads.recognise(await on_disk(os.pread, file.fileno(), SNIFF_BYTES, 0)),
                filename=candidate.sidecar.filename,
                description=candidate.sidecar.description,
            )
            image = await self._uploads.adopt(user, received, image_id=candidate.image_id, sidecar=candidate.sidecar)
        if await self._store.size(image.original_key) is None:
            # A reconcile run deleted it at this moment.
            await self._images.remove(image.owner_id, image.id)
            raise ObjectMissing

    async def _sidecar(self, owner_id: str, image_id: str, stored: StoredObject) -> Sidecar:
        """Return what the sidecar says; images from before there were sidecars get a filename made of their id."""
        async with self._spool.file() as file:
            try:
                await self._store.fetch(sidecar_key(owner_id, image_id), file, max_bytes=MAX_BYTES)
                return read_sidecar(await on_disk(os.pread, file.fileno(), MAX_BYTES, 0))
            except (ObjectMissing, ValueError):
                extension = stored.key.rpartition(".")[2]
                known = extension if extension in FORMATS_BY_EXTENSION else "bin"
                return Sidecar(filenames.clean(f"{image_id}.{known}"), description=None, source=None)
