"""Closes direct and resumable uploads that have expired."""

from __future__ import annotations

import structlog

from app.domain.uploads import DirectUpload
from app.ports.clock import Clock
from app.ports.part_store import PartStore
from app.ports.upload_table import DirectUploadTable

_BATCH = 100

_log = structlog.stdlib.get_logger(__name__)


class UploadExpiry:
    def __init__(self, table: DirectUploadTable, parts: PartStore, *, clock: Clock) -> None:
        self._table = table
        self._parts = parts
        self._clock = clock

    async def run(self) -> None:
        """Close all open uploads that have expired. Raises DependencyUnavailable at the first failure."""
        while found := await self._table.expired_uploads(before=self._clock(), limit=_BATCH):
            for upload in found:
                await self._close(upload)
            _log.info("uploads.expired", uploads=len(found))
            if len(found) < _BATCH:
                return

    async def _close(self, upload: DirectUpload) -> None:
        if upload.parts_id is None:
            # If the file has arrived, the upload can still be completed. The image then counts toward the quota.
            await self._table.release_upload(upload)
        else:
            # The record is removed last, so that after a failure another run discards the rest.
            await self._parts.discard(upload.key, upload.parts_id)
            await self._table.remove_upload(upload)
