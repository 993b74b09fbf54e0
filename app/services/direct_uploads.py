"""Direct uploads: a client sends a large file straight into the object store, then has it validated."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import BinaryIO

import structlog

from app.common.blocking_io import run_blocking_io
from app.common.idempotency import Idempotency
from app.common.temp_files import TempFiles
from app.domain import filenames
from app.domain.accounts import User
from app.domain.claims import RequestClaim
from app.domain.errors import (
    AppError,
    FormatUnsupported,
    FormInvalid,
    IdempotencyKeyReused,
    ImageCorrupt,
    ImageTooExpensive,
    ImageTooLarge,
    ObjectMissing,
    QuotaExceeded,
    RequestInProgress,
    UploadIncomplete,
    UploadMismatch,
    UploadMissing,
    file_too_large,
)
from app.domain.formats import SNIFF_BYTES, canonical_content_type
from app.domain.ids import is_id, new_id
from app.domain.images import Image
from app.domain.object_keys import image_folder, parse_incoming_key
from app.domain.objects import PresignedPost, PresignedPostClaims, SignedUrl
from app.domain.uploads import DirectUpload, Refusal, UploadIntent
from app.ports.clock import Clock
from app.ports.storage import ObjectStore
from app.ports.upload_table import DirectUploadTable
from app.services.library import Library
from app.services.new_images import ReceivedFile
from app.services.originals import fetch_original
from app.services.uploads import Uploads

FORM_LIFETIME = timedelta(hours=1)
_FILE_FAULT_STATUSES = (413, 415, 422)
"""Statuses of errors that are due to the file itself and that a retry would repeat."""
_REFUSALS = {
    error.code: error
    for error in (FormatUnsupported, ImageCorrupt, ImageTooExpensive, ImageTooLarge, QuotaExceeded, UploadMismatch)
}
"""The errors with which a file is refused."""
_WAIT_SECONDS = 20
"""How long a request waits for another one that is completing the same upload."""
_POLL_SECONDS = 0.5
_SERVER_ERROR = 500
_IMAGE_DELETED = "The image of this upload was deleted."

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UploadState:
    """What became of a direct upload. Without an image and a refusal, its file was not validated yet."""

    upload: DirectUpload
    image: Image | None = None
    refusal: Refusal | None = None


class DirectUploads:
    def __init__(
        self,
        *,
        store: ObjectStore,
        table: DirectUploadTable,
        library: Library,
        uploads: Uploads,
        idempotency: Idempotency,
        temp_files: TempFiles,
        max_bytes: int,
        clock: Clock,
    ) -> None:
        self._store = store
        self._clock = clock
        self._table = table
        self._library = library
        self._uploads = uploads
        self._idempotency = idempotency
        self._temp_files = temp_files
        self.max_bytes = max_bytes
        self.quota = uploads.quota

    async def initiate(self, user: User, intent: UploadIntent, *, claim: RequestClaim | None = None) -> DirectUpload:
        """Record the upload; `presign` returns its form.

        Its size is reserved in the quota until the upload is completed or refused, or expires. Raises UploadTooLarge,
        FormatUnsupported, QuotaExceeded, TooManyOpenUploads or ClaimLost.
        """
        if intent.size > self.max_bytes:
            raise file_too_large(self.max_bytes, size=intent.size)
        content_type = canonical_content_type(intent.content_type)
        self._uploads.require_supported_type(content_type)
        await self._uploads.check_quota(user, intent.size)
        upload = DirectUpload(
            id=claim.result_id if claim else new_id(),
            owner_id=user.id,
            filename=filenames.clean(intent.filename),
            description=intent.description,
            content_type=content_type,
            size=intent.size,
            sha256=intent.sha256,
            expires_at=self._clock() + FORM_LIFETIME,
            custom_metadata=intent.custom_metadata,
            is_open=True,
        )
        await self._table.add_upload(upload, quota=self.quota, claim=claim)
        return upload

    async def presign(self, upload: DirectUpload) -> tuple[PresignedPost, SignedUrl]:
        """Return a form that stores exactly the file that was described, and a URL for a PUT of that size."""
        form = await self._store.presign_post(
            upload.key,
            content_type=upload.content_type,
            size=upload.size,
            sha256=upload.sha256,
            expires_at=upload.expires_at,
        )
        put = await self._store.presign_put(upload.key, size=upload.size, expires_at=upload.expires_at)
        return form, put

    async def find(self, user: User, upload_id: str) -> DirectUpload | None:
        return await self._table.find_upload(user.id, upload_id)

    async def store_posted(self, claims: PresignedPostClaims, file: BinaryIO, *, size: int, sha256: str) -> None:
        """Store a file that this service received with a presigned form or URL. Raises FormInvalid for another file."""
        if size != claims.size or claims.sha256 not in (None, sha256):
            raise FormInvalid
        await self._store.put_file(claims.key, file, size=size, sha256=sha256, content_type=claims.content_type)

    async def state(self, user: User, upload_id: str) -> UploadState:
        """Return what became of the upload. Raises UploadMissing, also if its image was deleted."""
        upload = await self._get(user, upload_id)
        record = await self._idempotency.find(user.id, _completion(upload))
        image = await self._library.find(user, _image_id(upload, record.result_id)) if record else None
        if image is None and record and record.done:
            raise UploadMissing(_IMAGE_DELETED)
        # Until a validation has ended, the file may still be deleted, so a client that is told of the refusal must not
        # send another one yet. The refusal may also be that of an earlier file.
        return UploadState(upload, image, None if record else upload.refusal)

    async def complete(self, user: User, upload_id: str) -> Image:
        """Validate the file that arrived and create its image. Repeated calls return the same image.

        If another call is completing the upload, this one waits up to 20 s for its result.

        Raises UploadMissing, UploadIncomplete, RequestInProgress, UploadMismatch, and what `Uploads.store_upload`
        raises. A refused file is deleted and its reservation released; it can be sent again until its form
        expires.
        """
        loop = asyncio.get_running_loop()
        wait_until = loop.time() + _WAIT_SECONDS
        upload = await self._get(user, upload_id)
        while True:
            try:
                return await self._complete(user, upload)
            except RequestInProgress:
                if loop.time() >= wait_until:
                    raise
                await asyncio.sleep(_POLL_SECONDS)

    async def complete_arrived(self, key: str) -> Image | None:
        """Complete the direct upload whose file was stored under the key, without a call of its client.

        Returns None, because no later call could have another result, if the file was refused, if the key is not that
        of a direct upload, and if the file is gone. A file that was sent again after its upload had been completed is
        deleted. Raises RequestInProgress, and errors with a status from 500: a later call may succeed.
        """
        parsed = parse_incoming_key(key)
        upload = await self._table.find_upload(*parsed) if parsed else None
        if upload is None or upload.parts_id:
            # Resumable uploads are completed by the request that sends their last bytes.
            return None
        image = None
        try:
            image = await self.complete(User(upload.owner_id), upload.id)
        except AppError as error:
            if isinstance(error, RequestInProgress) or error.status >= _SERVER_ERROR:
                raise
            _log.info("upload.refused", upload_id=upload.id, user_id=upload.owner_id, cause=error.code)
            if not isinstance(error, UploadMissing):
                return None
        await self._delete(upload)
        return image

    async def _get(self, user: User, upload_id: str) -> DirectUpload:
        upload = await self._table.find_upload(user.id, upload_id) if is_id(upload_id) else None
        if upload is None:
            raise UploadMissing
        return upload

    async def _complete(self, user: User, upload: DirectUpload) -> Image:
        try:
            return await self._idempotency.run(
                user.id,
                _completion(upload),
                fingerprint="complete",
                find=lambda result_id: self._library.find(user, _image_id(upload, result_id)),
                create=partial(self._create_image, user, upload),
            )
        except IdempotencyKeyReused:
            raise UploadMissing(_IMAGE_DELETED) from None

    async def _create_image(self, user: User, upload: DirectUpload, claim: RequestClaim) -> Image:
        if (size := await self._store.size(upload.key)) is None:
            raise await self._why_missing(user, upload)
        try:
            image = await self._validate_and_store(user, upload, size, claim)
        except AppError as error:
            await self._refuse(upload, error)
            raise
        await self._delete(upload)
        return image

    async def _why_missing(self, user: User, upload: DirectUpload) -> AppError:
        """Return why there is no file: the latest one was refused, or none has arrived."""
        # Another call may have refused and deleted the file after this one had read the upload.
        refusal = (await self._get(user, upload.id)).refusal
        if refusal and (refused := _REFUSALS.get(refusal.code)):
            return refused(refusal.detail)
        return UploadIncomplete()

    async def _refuse(self, upload: DirectUpload, error: AppError) -> None:
        """Delete a file that was refused, and release its reservation. A resumable upload is removed."""
        if upload.parts_id and error.status in (*_FILE_FAULT_STATUSES, QuotaExceeded.status):
            if not isinstance(error, ImageTooExpensive):
                # The fault is in the file, so no other attempt can be creating the image from it.
                folder = image_folder(upload.owner_id, upload.id)
                await self._store.delete([stored.key async for stored in self._store.walk(folder)])
            await self._delete(upload)
            await self._table.remove_upload(upload)
        elif error.code in _REFUSALS:
            await self._table.save_refusal(upload, Refusal(error.code, error.detail))
            if error.status in _FILE_FAULT_STATUSES:
                await self._delete(upload)
                await self._table.release_upload(upload)

    async def _validate_and_store(self, user: User, upload: DirectUpload, size: int, claim: RequestClaim) -> Image:
        if size != upload.size:
            raise UploadMismatch(f"The uploaded file has {size:,} bytes; {upload.size:,} were expected.")
        async with self._temp_files.file() as file:
            try:
                sha256 = await fetch_original(self._store, upload.key, file, max_bytes=upload.size)
            except ObjectMissing:
                raise UploadIncomplete from None
            if upload.sha256 is not None and sha256 != upload.sha256:
                raise UploadMismatch("The SHA-256 of the uploaded file differs from the expected one.")
            head = await run_blocking_io(os.pread, file.fileno(), SNIFF_BYTES, 0)
            received = ReceivedFile(
                file=file,
                size=size,
                sha256=sha256,
                format=self._uploads.detect_format(head),
                filename=upload.filename,
                description=upload.description,
                custom_metadata=upload.custom_metadata,
            )
            # The form stays valid after this call, so the incoming object may still change. The bytes that were
            # validated are stored under a key that no form was ever signed for.
            image_id = _image_id(upload, claim.result_id)
            return await self._uploads.store_upload(user, received, image_id=image_id, claim=claim, upload=upload)

    async def _delete(self, upload: DirectUpload) -> None:
        try:
            await self._store.delete([upload.key])
        except AppError as error:
            # Reconcile runs delete the file a day later.
            _log.warning("objects.left_for_reconcile", upload_id=upload.id, cause=error.code)


def _completion(upload: DirectUpload) -> str:
    """Return the idempotency key under which the upload is completed."""
    return f"complete {upload.id}"


def _image_id(upload: DirectUpload, result_id: str) -> str:
    return upload.id if upload.parts_id else result_id
