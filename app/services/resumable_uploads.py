"""Resumable uploads: a client sends a large file in several requests, and continues after each interruption."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from app.common.temp_files import TempFiles
from app.domain import filenames
from app.domain.accounts import User
from app.domain.errors import FileEmpty, UploadLocked, UploadMissing, UploadOffsetMismatch, file_too_large
from app.domain.formats import UNKNOWN_TYPE
from app.domain.ids import is_id, new_id
from app.domain.images import Image
from app.domain.uploads import DirectUpload
from app.ports.clock import Clock
from app.ports.part_store import PartStore
from app.ports.storage import ObjectStore
from app.ports.upload_table import DirectUploadTable
from app.services.direct_uploads import DirectUploads
from app.services.library import Library
from app.services.part_writer import PartWriter

LIFETIME = timedelta(days=1)
"""The lifecycle rules of infra/template.yaml delete parts no earlier than this."""
_STALE_SECONDS = 6
"""How long a request may receive no bytes before another request takes over its upload."""
_POLL_SECONDS = 0.5

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of an upload after a request has sent bytes. `image` is set once all bytes have arrived."""

    upload: DirectUpload
    image: Image | None = None


class ResumableUploads:
    def __init__(
        self,
        *,
        store: ObjectStore,
        parts: PartStore,
        table: DirectUploadTable,
        library: Library,
        direct_uploads: DirectUploads,
        temp_files: TempFiles,
        max_bytes: int,
        clock: Clock,
    ) -> None:
        self._store = store
        self._parts = parts
        self._table = table
        self._library = library
        self._direct_uploads = direct_uploads
        self._temp_files = temp_files
        self.max_bytes = max_bytes
        self._clock = clock

    async def create(
        self,
        user: User,
        *,
        size: int,
        filename: str,
        description: str | None,
        sha256: str | None,
        custom_metadata: dict[str, str],
    ) -> DirectUpload:
        """Record an upload, and reserve its size in the quota until it is completed, is terminated, or expires.

        Its id will be the id of the image. Raises FileEmpty, UploadTooLarge, QuotaExceeded and TooManyOpenUploads.
        """
        if size == 0:
            raise FileEmpty
        if size > self.max_bytes:
            raise file_too_large(self.max_bytes, size=size)
        upload = DirectUpload(
            id=new_id(),
            owner_id=user.id,
            filename=filenames.clean(filename),
            description=description,
            content_type=UNKNOWN_TYPE,
            size=size,
            sha256=sha256,
            expires_at=self._clock() + LIFETIME,
            custom_metadata=custom_metadata,
            is_open=True,
        )
        upload = replace(upload, parts_id=await self._parts.begin(upload.key))
        await self._table.add_upload(upload, quota=self._direct_uploads.quota)
        return upload

    async def get(self, user: User, upload_id: str) -> DirectUpload:
        """Return the upload. Raises UploadMissing, also for an upload of another user, and for one that has expired."""
        upload = await self._table.find_upload(user.id, upload_id) if is_id(upload_id) else None
        if upload is None or upload.parts_id is None or upload.expires_at <= self._clock():
            raise UploadMissing
        return upload

    async def terminate(self, user: User, upload_id: str) -> None:
        """Delete the upload and its bytes. An image that was created from it stays. Raises UploadMissing."""
        upload = await self.get(user, upload_id)
        await self._parts.discard(upload.key, upload.parts_id or "")
        await self._table.remove_upload(upload)

    async def append(
        self, user: User, upload_id: str, *, offset: int, body: AsyncIterator[bytes], sha1: bytes | None = None
    ) -> Progress:
        """Store the bytes of `body`, which begin at `offset` of the file. The last ones create the image.

        If `body` raises, the bytes before that are kept, unless there is a checksum. A repetition of the last request
        returns the same image.

        Raises UploadMissing, UploadOffsetMismatch, UploadLocked, UploadTooLarge for more bytes than announced,
        ChecksumMismatch, and what `DirectUploads.complete` raises.
        """
        upload = await self.get(user, upload_id)
        if upload.received == upload.size:
            return await self._repeat_last(user, upload, offset, body)
        if offset != upload.received:
            raise UploadOffsetMismatch
        upload = await self._take(upload)
        writer = PartWriter(upload, self._table, self._parts)
        try:
            if offset != upload.received:
                raise UploadOffsetMismatch
            if not await self._has_all_bytes(user, upload):
                async with self._temp_files.file() as spool:
                    has_all = await writer.receive(spool, body, sha1=sha1)
                if not has_all:
                    return Progress(writer.upload)
            image = await self._direct_uploads.complete(user, upload.id)
        finally:
            await asyncio.shield(writer.release())
        return Progress(await self._finish(user, upload), image)

    async def _repeat_last(self, user: User, upload: DirectUpload, offset: int, body: AsyncIterator[bytes]) -> Progress:
        length = 0
        async for chunk in body:
            length += len(chunk)
        if offset + length != upload.size:
            raise UploadOffsetMismatch
        image = await self._library.find(user, upload.id)
        if image is None:
            raise UploadMissing("The image of this upload was deleted.")
        return Progress(upload, image)

    async def _has_all_bytes(self, user: User, upload: DirectUpload) -> bool:
        """Return whether an earlier request received the last bytes, and was interrupted afterwards."""
        last_part = (upload.size - 1) // self._parts.part_bytes * self._parts.part_bytes
        if upload.received < last_part:
            return False
        is_assembled = await self._store.size(upload.key) == upload.size
        return is_assembled or await self._library.find(user, upload.id) is not None

    async def _take(self, upload: DirectUpload) -> DirectUpload:
        """Make this request the holder of the upload. Raises UploadLocked while another request is sending bytes."""
        if upload.holder is not None:
            upload = await self._wait_until_stale(upload)
        taken = replace(upload, holder=new_id(), version=upload.version + 1)
        if not await self._table.save_progress(taken, seen=upload):
            raise UploadLocked
        return taken

    async def _wait_until_stale(self, seen: DirectUpload) -> DirectUpload:
        """Return the upload once its holder has released it, or has not changed it for 6 s.

        Raises UploadLocked as soon as the holder changes it, and UploadMissing if it was terminated. The duration is
        measured with the monotonic clock of this process, so no two clocks are compared.
        """
        loop = asyncio.get_running_loop()
        unchanged_until = loop.time() + _STALE_SECONDS
        while loop.time() < unchanged_until:
            await asyncio.sleep(_POLL_SECONDS)
            current = await self._table.find_upload(seen.owner_id, seen.id)
            if current is None:
                raise UploadMissing
            if current.holder is None:
                return current
            if current.version != seen.version:
                raise UploadLocked
        _log.info("upload.taken_over", upload_id=seen.id, received=seen.received)
        return seen

    async def _finish(self, user: User, upload: DirectUpload) -> DirectUpload:
        """Record that the image is durable, even if another request holds the upload now."""
        while (current := await self._table.find_upload(user.id, upload.id)) is not None:
            finished = replace(current, received=current.size, holder=None, version=current.version + 1)
            if current.received == current.size or await self._table.save_progress(finished, seen=current):
                return finished
        # The upload was terminated in the meantime.
        return replace(upload, received=upload.size)
