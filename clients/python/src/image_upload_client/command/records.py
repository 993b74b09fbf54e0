"""The record of uploads: what was uploaded, and what was begun, by the hash of the content."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

_SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
    account TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    upload_id TEXT, -- of a resumable upload
    image_id TEXT, -- once it was uploaded
    started_at REAL NOT NULL,
    PRIMARY KEY (account, sha256)
);
CREATE TABLE IF NOT EXISTS hashes ( -- so that unchanged files are not read again
    path BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL
);
"""
_KEY_VALID_SECONDS = 20 * 3600
"""The service forgets an idempotency key after a day."""


@dataclass(frozen=True)
class Record:
    idempotency_key: str
    upload_id: str | None
    image_id: str | None


class UploadRecords:
    """Each change is durable when its function returns. Several threads may use it."""

    def __init__(self, path: Path, *, account: str) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        self._connection.close()

    def begin(self, sha256: str) -> Record:
        """Return the record of this content. If there is none, a new one is written."""
        self._execute(
            "INSERT OR IGNORE INTO uploads VALUES (?, ?, ?, NULL, NULL, ?)",
            self._account, sha256, str(uuid4()), time.time(),
        )  # fmt: skip
        sql = "SELECT idempotency_key, upload_id, image_id FROM uploads WHERE account = ? AND sha256 = ?"
        ((key, upload_id, image_id),) = self._execute(sql, self._account, sha256)
        return Record(key, upload_id, image_id)

    def set_upload_id(self, sha256: str, upload_id: str) -> None:
        self._update("upload_id = ?", upload_id, sha256)

    def finish(self, sha256: str, image_id: str) -> None:
        self._update("image_id = ?", image_id, sha256)

    def forget(self, sha256: str) -> None:
        """Remove the record, so that the next upload of this content is a new one."""
        self._execute("DELETE FROM uploads WHERE account = ? AND sha256 = ?", self._account, sha256)

    def uncertain(self) -> set[str]:
        """Return the contents whose upload was begun and may have succeeded, but whose key is no longer valid."""
        sql = (
            "SELECT sha256 FROM uploads WHERE account = ? AND image_id IS NULL AND upload_id IS NULL AND started_at < ?"
        )
        rows = self._execute(sql, self._account, time.time() - _KEY_VALID_SECONDS)
        return {sha256 for (sha256,) in rows}

    def hash_of(self, path: Path) -> str:
        """Return the SHA-256 of a file in hex. A file with the same size and time as before is not read again."""
        name = os.fsencode(path.resolve())  # the bytes, because a name may not be valid UTF-8
        status = path.stat()
        sql = "SELECT sha256 FROM hashes WHERE path = ? AND size = ? AND modified_ns = ?"
        for (known,) in self._execute(sql, name, status.st_size, status.st_mtime_ns):
            return str(known)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        values = (name, status.st_size, status.st_mtime_ns, sha256)
        self._execute("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?)", *values)
        return sha256

    def _update(self, change: str, value: str, sha256: str) -> None:
        sql = f"UPDATE uploads SET {change} WHERE account = ? AND sha256 = ?"  # noqa: S608 # the change is a constant
        self._execute(sql, value, self._account, sha256)

    def _execute(self, sql: str, *values: object) -> list[tuple[str, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()
