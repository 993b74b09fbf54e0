"""The share of an owner's usage that open direct uploads reserve."""

from __future__ import annotations

import sqlite3

from app.domain.errors import OwnerClosed, QuotaExceeded, TooManyOpenUploads
from app.domain.images import Quota
from app.domain.uploads import MAX_OPEN_UPLOADS, DirectUpload

_BLOCKED = "SELECT 1 FROM blocked_owners WHERE owner_id = ?"
_USAGE = "SELECT bytes + reserved_bytes AS bytes, open_uploads FROM usage WHERE owner_id = ?"
_RESERVE = """
    INSERT INTO usage (owner_id, images, bytes, reserved_bytes, open_uploads) VALUES (?, 0, 0, ?, 1)
    ON CONFLICT (owner_id) DO UPDATE
    SET reserved_bytes = reserved_bytes + excluded.reserved_bytes, open_uploads = open_uploads + 1
"""
_CLOSE = "UPDATE direct_uploads SET is_open = 0 WHERE owner_id = ? AND id = ? AND is_open = 1 RETURNING size"
_RELEASE = "UPDATE usage SET reserved_bytes = reserved_bytes - ?, open_uploads = open_uploads - 1 WHERE owner_id = ?"


def reserve(db: sqlite3.Connection, upload: DirectUpload, *, quota: Quota) -> None:
    """Raises OwnerClosed, TooManyOpenUploads and QuotaExceeded."""
    if db.execute(_BLOCKED, (upload.owner_id,)).fetchone():
        raise OwnerClosed
    usage = db.execute(_USAGE, (upload.owner_id,)).fetchone() or {"bytes": 0, "open_uploads": 0}
    if usage["open_uploads"] >= MAX_OPEN_UPLOADS:
        raise TooManyOpenUploads
    if quota.bytes and usage["bytes"] + upload.size > quota.bytes:
        raise QuotaExceeded
    db.execute(_RESERVE, (upload.owner_id, upload.size))


def release(db: sqlite3.Connection, upload: DirectUpload) -> None:
    """Set the upload not open and release its reservation, unless that was done before."""
    if closed := db.execute(_CLOSE, (upload.owner_id, upload.id)).fetchone():
        db.execute(_RELEASE, (closed["size"], upload.owner_id))
