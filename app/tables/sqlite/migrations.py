"""The tables of the SQLite file: the statements that lead from each version of it to the next."""

from __future__ import annotations

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
    (
        "ALTER TABLE once RENAME TO idempotency",
        "ALTER TABLE attempts RENAME TO counters",
        "ALTER TABLE closed_owners RENAME TO blocked_owners",
        "ALTER TABLE accounts RENAME COLUMN normalised_email TO normalized_email",
        "UPDATE jobs SET kind = 'delete_account' WHERE kind = 'leave'",
    ),
    (
        "ALTER TABLE accounts ADD COLUMN disabled_at TEXT",
        "ALTER TABLE sessions ADD COLUMN created_at TEXT",
        "ALTER TABLE sessions ADD COLUMN refreshed_at TEXT",
        "ALTER TABLE sessions ADD COLUMN user_agent TEXT",
        "CREATE TABLE owners (id TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID",
        """
        CREATE TABLE server_keys (
            id TEXT NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            scopes TEXT NOT NULL,
            token_hash TEXT NOT NULL,
            created_at TEXT NOT NULL,
            revoked_at TEXT
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE audit (
            id TEXT NOT NULL PRIMARY KEY,
            at TEXT NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            owner_id TEXT,
            target TEXT,
            address TEXT,
            expires_at TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX audit_by_owner ON audit (owner_id, id)",
        "CREATE INDEX audit_by_expiry ON audit (expires_at)",
        "ALTER TABLE usage ADD COLUMN reserved_bytes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE usage ADD COLUMN open_uploads INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE direct_uploads ADD COLUMN is_open INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE direct_uploads ADD COLUMN parts_id TEXT",
        "ALTER TABLE direct_uploads ADD COLUMN received INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE direct_uploads ADD COLUMN holder TEXT",
        "ALTER TABLE direct_uploads ADD COLUMN version INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX open_uploads_by_expiry ON direct_uploads (expires_at) WHERE is_open = 1",
    ),
    (
        "ALTER TABLE reconcile_state ADD COLUMN version INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE reconcile_state ADD COLUMN started_at TEXT",
        "ALTER TABLE reconcile_state ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE reconcile_state ADD COLUMN step TEXT NOT NULL DEFAULT 'finished'",
        "ALTER TABLE reconcile_state ADD COLUMN segments TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE reconcile_state ADD COLUMN counts TEXT NOT NULL DEFAULT '{}'",
    ),
    ("ALTER TABLE direct_uploads ADD COLUMN refusal TEXT",),
    (
        """
        CREATE TABLE webhook_endpoints (
            id TEXT NOT NULL PRIMARY KEY,
            url TEXT NOT NULL,
            event_types TEXT NOT NULL,
            secret TEXT NOT NULL,
            created_at TEXT NOT NULL,
            previous_secret TEXT,
            previous_secret_until TEXT,
            disabled_at TEXT
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE events (
            id TEXT NOT NULL PRIMARY KEY,
            type TEXT NOT NULL,
            occurred_at TEXT NOT NULL,
            body TEXT NOT NULL,
            is_due INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX due_events ON events (occurred_at) WHERE is_due = 1",
        "CREATE INDEX events_by_time ON events (occurred_at)",
        "ALTER TABLE jobs ADD COLUMN event_id TEXT",
        "ALTER TABLE images ADD COLUMN status TEXT NOT NULL DEFAULT 'ready'",
    ),
    (
        """
        CREATE TABLE shares (
            id TEXT NOT NULL PRIMARY KEY,
            owner_id TEXT NOT NULL,
            image_ids TEXT NOT NULL,
            title TEXT,
            download TEXT NOT NULL,
            created_at TEXT NOT NULL,
            expires_at TEXT,
            password_hash TEXT
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX shares_by_owner ON shares (owner_id, id)",
        "ALTER TABLE images ADD COLUMN focal_point TEXT",
        "ALTER TABLE images ADD COLUMN metadata TEXT",
        "ALTER TABLE images ADD COLUMN custom_metadata TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE direct_uploads ADD COLUMN custom_metadata TEXT NOT NULL DEFAULT '{}'",
    ),
    (
        # The sorting time of app.domain.metadata. `uploaded_at` is in UTC, and its first 23 characters end with the
        # milliseconds. Triggers count the images of each month, whichever statement adds or removes them. Both columns
        # never change.
        """
        ALTER TABLE images ADD COLUMN sorting_time TEXT NOT NULL GENERATED ALWAYS AS (
            coalesce(json_extract(metadata, '$.taken_at'), substr(uploaded_at, 1, 23))
        ) VIRTUAL
        """,
        "CREATE INDEX images_by_time ON images (owner_id, sorting_time, id)",
        """
        CREATE TABLE months (
            owner_id TEXT NOT NULL,
            month TEXT NOT NULL,
            images INTEGER NOT NULL,
            PRIMARY KEY (owner_id, month)
        ) STRICT, WITHOUT ROWID
        """,
        "INSERT INTO months SELECT owner_id, substr(sorting_time, 1, 7), count(*) FROM images GROUP BY 1, 2",
        """
        CREATE TRIGGER count_added_image AFTER INSERT ON images BEGIN
            INSERT INTO months VALUES (new.owner_id, substr(new.sorting_time, 1, 7), 1)
            ON CONFLICT (owner_id, month) DO UPDATE SET images = images + 1;
        END
        """,
        """
        CREATE TRIGGER count_removed_image AFTER DELETE ON images BEGIN
            UPDATE months SET images = images - 1
            WHERE owner_id = old.owner_id AND month = substr(old.sorting_time, 1, 7);
            DELETE FROM months WHERE owner_id = old.owner_id AND month = substr(old.sorting_time, 1, 7) AND images = 0;
        END
        """,
    ),
    ("ALTER TABLE images ADD COLUMN uploaded_sha256 TEXT",),
)
