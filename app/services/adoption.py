"""Rebuilds records from originals that have none, for example after an old copy of the table was restored."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.common.blocking_io import run_blocking_io
from app.common.sidecars import MAX_BYTES, Sidecar, read_sidecar
from app.common.temp_files import TempFiles
from app.common.webhook_events import WebhookEvents
from app.domain import filenames
from app.domain.accounts import User
from app.domain.errors import AppError, ImageMissing, ObjectMissing
from app.domain.formats import SNIFF_BYTES
from app.domain.ids import is_id
from app.domain.object_keys import IMAGES_PREFIX, sidecar_key
from app.domain.objects import StoredObject
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable, OwnerTable, TombstoneTable
from app.services.new_images import ReceivedFile
from app.services.uploads import Uploads

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An original without a record."""

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
        events: WebhookEvents,
        temp_files: TempFiles,
    ) -> None:
        self._store = store
        self._images = images
        self._owners = owners
        self._tombstones = tombstones
        self._uploads = uploads
        self._events = events
        self._temp_files = temp_files

    async def candidates(self) -> AsyncIterator[Candidate]:
        """Yield each original without a record, except those of deleted images and of closed or deleted accounts."""
        async for stored in self._store.walk(IMAGES_PREFIX):
            _, *parts = stored.key.split("/")
            if len(parts) == 3 and is_id(parts[1]) and parts[2].startswith("original."):  # noqa: PLR2004
                owner_id, image_id, _ = parts
                if await self._is_candidate(owner_id, image_id, stored):
                    sidecar = await self._sidecar(owner_id, image_id, stored)
                    yield Candidate(owner_id, image_id, stored.key, stored.size, stored.modified_at, sidecar)

    async def adopt(self, candidate: Candidate) -> str:
        """Add the record of a candidate. Return `adopted`, or the code of the error that prevented it."""
        try:
            await self._adopt(candidate)
        except AppError as error:
            _log.warning("adoption.refused", image_id=candidate.image_id, cause=error.code)
            return error.code
        _log.info("adoption.adopted", image_id=candidate.image_id)
        return "adopted"

    async def _is_candidate(self, owner_id: str, image_id: str, stored: StoredObject) -> bool:
        try:
            await self._images.get(owner_id, image_id)
        except ImageMissing:
            pass
        else:
            return False
        if await self._tombstones.find_tombstone(owner_id, image_id) or await self._owners.is_blocked(owner_id):
            return False
        deleted_at = await self._owners.deleted_at(owner_id)
        return deleted_at is None or stored.modified_at > deleted_at

    async def _adopt(self, candidate: Candidate) -> None:
        user = User(candidate.owner_id)
        async with self._temp_files.file() as file:
            sha256 = await self._store.fetch(candidate.original_key, file, max_bytes=candidate.size)
            received = ReceivedFile(
                file=file,
                size=candidate.size,
                sha256=sha256,
                format=self._uploads.detect_format(await run_blocking_io(os.pread, file.fileno(), SNIFF_BYTES, 0)),
                filename=candidate.sidecar.filename,
                description=candidate.sidecar.description,
                custom_metadata=candidate.sidecar.custom_metadata,
                uploaded_sha256=candidate.sidecar.uploaded_sha256,
            )
            image = await self._uploads.adopt(user, received, image_id=candidate.image_id, sidecar=candidate.sidecar)
        if await self._store.size(image.original_key) is None:
            # A concurrent reconcile run deleted the original.
            events = await self._events.of_deletion(image.owner_id, image.id)
            await self._images.remove(image.owner_id, image.id, events=events)
            raise ObjectMissing

    async def _sidecar(self, owner_id: str, image_id: str, stored: StoredObject) -> Sidecar:
        """Return the sidecar, or one with a generated filename for images that are older than sidecars."""
        async with self._temp_files.file() as file:
            try:
                await self._store.fetch(sidecar_key(owner_id, image_id), file, max_bytes=MAX_BYTES)
                return read_sidecar(await run_blocking_io(os.pread, file.fileno(), MAX_BYTES, 0))
            except (ObjectMissing, ValueError):
                extension = stored.key.rpartition(".")[2]
                return Sidecar(filenames.clean(f"{image_id}.{extension}"), description=None, source=None)
