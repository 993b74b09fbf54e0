"""The tables of the SQLite file and how an older file is brought up to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

# Migration n brings version n - 1 to n. What was released is never edited: a change is one more entry.
# WITHOUT ROWID keeps the rows of an owner together in the order of ids, which is the order of pages.
# Times are ISO 8601 text in UTC, always of the same width, so that they compare as times.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE images (
            owner_id TEXT NOT NULL,
            id TEXT NOT NULL,
            filename TEXT NOT NULL,
            description TEXT,
            content_type TEXT NOT NULL,
            size INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            uploaded_at TEXT NOT NULL,
            placeholder TEXT NOT NULL,
            thumbnails TEXT NOT NULL,
            PRIMARY KEY (owner_id, id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE usage (
            owner_id TEXT NOT NULL PRIMARY KEY,
            images INTEGER NOT NULL,
            bytes INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE accounts (
            id TEXT NOT NULL PRIMARY KEY,
            email TEXT NOT NULL,
            normalised_email TEXT NOT NULL UNIQUE,
            password_hash TEXT NOT NULL,
            display_name TEXT,
            created_at TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE sessions (
            account_id TEXT NOT NULL,
            id TEXT NOT NULL,
            token_hash TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            PRIMARY KEY (account_id, id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
        """
        CREATE TABLE attempts (
            key TEXT NOT NULL PRIMARY KEY,
            count INTEGER NOT NULL,
            resets_at TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX attempts_by_reset ON attempts (resets_at)",
    ),
    (
        """
        CREATE TABLE direct_uploads (
            owner_id TEXT NOT NULL,
            id TEXT NOT NULL,
            filename TEXT NOT NULL,
            description TEXT,
            content_type TEXT NOT NULL,
            size INTEGER NOT NULL,
            sha256 TEXT,
            expires_at TEXT NOT NULL,
            PRIMARY KEY (owner_id, id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX direct_uploads_by_expiry ON direct_uploads (expires_at)",
        """
        CREATE TABLE once (
            owner_id TEXT NOT NULL,
            key TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            result_id TEXT NOT NULL,
            done INTEGER NOT NULL,
            leased_until TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            PRIMARY KEY (owner_id, key)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX once_by_expiry ON once (expires_at)",
    ),
    (
        """
        CREATE TABLE store (
            number INTEGER NOT NULL PRIMARY KEY CHECK (number = 1),
            id TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        # SQLite cannot take a NOT NULL from a column (placeholder) but by making the table anew.
        """
        CREATE TABLE images_4 (
            owner_id TEXT NOT NULL,
            id TEXT NOT NULL,
            filename TEXT NOT NULL,
            description TEXT,
            content_type TEXT NOT NULL,
            size INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            uploaded_at TEXT NOT NULL,
            placeholder TEXT,
            thumbnails TEXT NOT NULL,
            source TEXT,
            ean TEXT,
            PRIMARY KEY (owner_id, id)
        ) STRICT, WITHOUT ROWID
        """,
        "INSERT INTO images_4 SELECT *, NULL, NULL FROM images",
        "DROP TABLE images",
        "ALTER TABLE images_4 RENAME TO images",
        "CREATE INDEX images_by_ean ON images (owner_id, ean, id) WHERE ean IS NOT NULL",
        """
        CREATE TABLE jobs (
            owner_id TEXT NOT NULL,
            id TEXT NOT NULL,
            kind TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            due_at TEXT,
            status TEXT NOT NULL,
            claim TEXT,
            attempts INTEGER NOT NULL,
            progress INTEGER NOT NULL,
            error TEXT,
            ean TEXT,
            description TEXT,
            image_id TEXT,
            PRIMARY KEY (owner_id, id)
        ) STRICT, WITHOUT ROWID
        """,
        # Those that are not finished are due at some time, those that are finished never again.
        "CREATE INDEX jobs_by_due_time ON jobs (due_at) WHERE due_at IS NOT NULL",
        "CREATE INDEX finished_jobs ON jobs (updated_at) WHERE due_at IS NULL",
        """
        CREATE TABLE closed_owners (
            owner_id TEXT NOT NULL PRIMARY KEY,
            until TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX closed_owners_by_end ON closed_owners (until)",
    ),
    (
        """
        CREATE TABLE tombstones (
            owner_id TEXT NOT NULL,
            image_id TEXT NOT NULL,
            deleted_at TEXT NOT NULL,
            closed_at TEXT,
            PRIMARY KEY (owner_id, image_id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX open_tombstones ON tombstones (deleted_at) WHERE closed_at IS NULL",
        "CREATE INDEX closed_tombstones ON tombstones (closed_at) WHERE closed_at IS NOT NULL",
        """
        CREATE TABLE deleted_owners (
            owner_id TEXT NOT NULL PRIMARY KEY,
            deleted_at TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX deleted_owners_by_time ON deleted_owners (deleted_at)",
        # One row for each object that no record refers to, by the last part of its key. The empty name is a record
        # whose original is missing.
        """
        CREATE TABLE discrepancies (
            owner_id TEXT NOT NULL,
            image_id TEXT NOT NULL,
            name TEXT NOT NULL,
            first_seen_at TEXT NOT NULL,
            PRIMARY KEY (owner_id, image_id, name)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE reconcile_state (
            number INTEGER NOT NULL PRIMARY KEY CHECK (number = 1),
            run_id TEXT NOT NULL,
            unbroken_since TEXT NOT NULL,
            originals_deleted TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
)


def migrate(connection: sqlite3.Connection, *, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the file to the newest version, each step whole or not at all; a file newer than that is refused."""
    while (version := _version(connection)) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have taken this step while we waited for the lock.
            if _version(connection) == version:
                for statement in migrations[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    if version > len(migrations):
        raise RuntimeError(
            f"The database has version {version}, but this program knows versions up to {len(migrations)} only. "
            "Start the newer program that wrote it, or restore a backup from before the upgrade."
        )


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
