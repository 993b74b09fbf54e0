"""The table of direct uploads. Its methods behave as those of app.ports.tables: see there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.domain.claims import RequestClaim
from app.domain.images import Quota
from app.domain.uploads import DirectUpload, Refusal


class DirectUploadTable(Protocol):
    """Direct uploads that were initiated. They are kept while they are open, and for a day after `expires_at`.

    The owner's usage counts the open uploads and their bytes. It changes in the same transactions.
    """

    async def add_upload(self, upload: DirectUpload, *, quota: Quota, claim: RequestClaim | None = None) -> None:
        """Add an open upload, reserve its bytes in its owner's usage, and mark `claim` done, in one transaction.

        Raises QuotaExceeded if the owner's images and open uploads would then have more bytes than `quota` allows;
        TooManyOpenUploads if the owner has `MAX_OPEN_UPLOADS` open uploads, OwnerClosed after
        `OwnerTable.block_writes`, and ClaimLost. Adding an upload that exists changes nothing.
        """
        ...

    async def save_progress(self, upload: DirectUpload, *, seen: DirectUpload) -> bool:
        """Set `received`, `holder` and `version`, if the version is still that of `seen`.

        Returns False, having changed nothing, if another process has changed or removed the upload since. Of concurrent
        calls with the same `seen`, exactly one returns True.
        """
        ...

    async def save_refusal(self, upload: DirectUpload, refusal: Refusal) -> None:
        """Set `refusal`. A missing upload is ignored."""
        ...

    async def release_upload(self, upload: DirectUpload) -> None:
        """Set the upload not open and release its reservation, in one transaction.

        Nothing changes if the upload is missing or not open, so that each reservation is released exactly once.
        """
        ...

    async def remove_upload(self, upload: DirectUpload) -> None:
        """Remove the upload and release its reservation if it is open. A missing upload is ignored."""
        ...

    async def expired_uploads(self, *, before: datetime, limit: int) -> Sequence[DirectUpload]:
        """Return at most `limit` open uploads of any owner with `expires_at` before that time, oldest first.

        May miss writes of the last seconds.
        """
        ...

    async def find_upload(self, owner_id: str, upload_id: str) -> DirectUpload | None: ...
