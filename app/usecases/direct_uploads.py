"""Large files go straight into the store; here they are announced, and checked once they have arrived."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import BinaryIO

import structlog

from app.core import filenames
from app.core.clock import Clock
from app.core.errors import (
    AppError,
    DependencyUnavailable,
    FormInvalid,
    IdempotencyKeyReused,
    ObjectMissing,
    UploadIncomplete,
    UploadMismatch,
    UploadMissing,
    UploadTooLarge,
)
from app.core.formats import SNIFF_BYTES
from app.core.ids import is_id, new_id
from app.core.models import DirectUpload, Image, PostedForm, RequestClaim, SignedForm, User
from app.core.ports import DirectUploadTable, ObjectStore
from app.core.threads import on_disk
from app.usecases.library import Library
from app.usecases.once import Once
from app.usecases.spool import Spool
from app.usecases.uploads import ReceivedFile, Uploads

FORM_LIFETIME = timedelta(hours=1)
_FETCH_SECONDS = 60
_REFUSALS = (413, 415, 422)
"""What is wrong with the file itself, and will be wrong again."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a client says of a file before it sends it; the content decides later."""

    filename: str
    description: str | None
    content_type: str
    size: int
    sha256: str | None


class DirectUploads:
    def __init__(
        self,
        *,
        store: ObjectStore,
        table: DirectUploadTable,
        library: Library,
        uploads: Uploads,
        once: Once,
        spool: Spool,
        max_bytes: int,
        clock: Clock,
    ) -> None:
        self._store = store
        self._clock = clock
        self._table = table
        self._library = library
        self._uploads = uploads
        self._once = once
        self._spool = spool
        self.max_bytes = max_bytes

    async def open(self, user: User, announced: Announcement, *, claim: RequestClaim | None = None) -> DirectUpload:
        """Keep what was announced; `sign` gives its form.

        Raises UploadTooLarge, FormatUnsupported, QuotaExceeded or ClaimLost.
        """
        if announced.size > self.max_bytes:
            raise UploadTooLarge(f"The file has {announced.size:,} bytes; the limit is {self.max_bytes:,}.")
        self._uploads.require_allowed(announced.content_type)
        await self._uploads.refuse_over_quota(user, announced.size)
        upload = DirectUpload(
            id=claim.result_id if claim else new_id(),
            owner_id=user.id,
            filename=filenames.clean(announced.filename),
            description=announced.description,
            content_type=announced.content_type,
            size=announced.size,
            sha256=announced.sha256,
            expires_at=self._clock() + FORM_LIFETIME,
        )
        await self._table.add_upload(upload, claim=claim)
        return upload

    async def sign(self, upload: DirectUpload) -> SignedForm:
        """Return the form that stores exactly the announced file."""
        return await self._store.sign_form(
            upload.key,
            content_type=upload.content_type,
            size=upload.size,
            sha256=upload.sha256,
            expires_at=upload.expires_at,
        )

    async def find(self, user: User, upload_id: str) -> DirectUpload | None:
        return await self._table.find_upload(user.id, upload_id)

    async def store_posted(self, posted: PostedForm, file: BinaryIO, *, size: int, sha256: str) -> None:
        """Store what came with a form that this service itself takes. Raises FormInvalid for another file."""
        if size != posted.size or posted.sha256 not in (None, sha256):
            raise FormInvalid
        await self._store.put_file(posted.key, file, size=size, sha256=sha256, content_type=posted.content_type)

    async def complete(self, user: User, upload_id: str) -> Image:
        """Check what has arrived and keep it; again, return the same image.

        Raises UploadMissing, UploadIncomplete, RequestInProgress, UploadMismatch, and what an upload over HTTP raises
        for its content; what was refused is deleted, and can be sent again while its form is good.
        """
        upload = await self._table.find_upload(user.id, upload_id) if is_id(upload_id) else None
        if upload is None:
            raise UploadMissing
        try:
            return await self._once.run(
                user.id,
                f"complete {upload.id}",
                fingerprint="complete",
                find=partial(self._library.find, user),
                make=partial(self._keep, user, upload),
            )
        except IdempotencyKeyReused:
            raise UploadMissing("The image of this upload was deleted since.") from None

    async def _keep(self, user: User, upload: DirectUpload, claim: RequestClaim) -> Image:
        if (size := await self._store.size(upload.key)) is None:
            raise UploadIncomplete
        try:
            image = await self._check_and_keep(user, upload, size, claim)
        except AppError as error:
            if error.status in _REFUSALS:
                await self._delete(upload)
            raise
        await self._delete(upload)
        return image

    async def _check_and_keep(self, user: User, upload: DirectUpload, size: int, claim: RequestClaim) -> Image:
        if size != upload.size:
            raise UploadMismatch(f"{size:,} bytes have arrived; {upload.size:,} were announced.")
        async with self._spool.file() as file:
            sha256 = await self._fetch(upload, file)
            if upload.sha256 is not None and sha256 != upload.sha256:
                raise UploadMismatch("What has arrived does not have the SHA-256 that was announced.")
            head = await on_disk(os.pread, file.fileno(), SNIFF_BYTES, 0)
            received = ReceivedFile(
                file=file,
                size=size,
                sha256=sha256,
                format=self._uploads.recognise(head),
                filename=upload.filename,
                description=upload.description,
            )
            # The form stays good after this, so the object may still change: kept are the bytes that were checked,
            # under a key that no form was ever signed for.
            return await self._uploads.receive(user, received, image_id=claim.result_id, claim=claim)

    async def _fetch(self, upload: DirectUpload, file: BinaryIO) -> str:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                return await self._store.fetch(upload.key, file, max_bytes=upload.size)
        except ObjectMissing:
            raise UploadIncomplete from None
        except TimeoutError as error:
            raise DependencyUnavailable("store") from error

    async def _delete(self, upload: DirectUpload) -> None:
        try:
            await self._store.delete([upload.key])
        except AppError as error:
            # What is left is swept a day later.
            _log.warning("objects.left_for_reconcile", upload_id=upload.id, cause=error.code)
