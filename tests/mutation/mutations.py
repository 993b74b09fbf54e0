"""Significant lines of the service, each with a change that must make a test fail.

The key is a file; the value names the tests that have to notice, and the changes: a line as it stands, without its
indentation, and what replaces it.
"""

from __future__ import annotations

Change = tuple[str, str]

MUTATIONS: dict[str, tuple[str, list[Change]]] = {
    "app/storage/disk/files.py": (
        "tests/contracts/test_durability.py tests/contracts/test_object_store.py",
        [
            ("os.fsync(file.fileno())", "pass"),
            ("os.fsync(source)", "pass"),
            ("sync_folder(folder)", "pass"),
            ('raise OSError("the file does not have the expected size and checksum")', "pass"),
        ],
    ),
    "app/storage/disk/store.py": (
        "tests/contracts/test_durability.py tests/contracts/test_disk_store.py tests/unit/test_disk_urls.py",
        [
            ("sync_parents([path], top=self._folder, permanent=self._permanent_folders)", "pass"),
            ("draft.unlink(missing_ok=True)", "pass"),
            ("if path.parent.resolve() != path.parent:", "if False:"),
        ],
    ),
    "app/storage/disk/urls.py": (
        "tests/unit/test_disk_urls.py",
        [
            ("if now.timestamp() >= expires:", "if now.timestamp() > expires + 60:"),
            ('if now.timestamp() >= int(fields["expires"]):', "if False:"),
        ],
    ),
    "app/container/data_dir.py": (
        "tests/contracts/test_durability.py tests/unit/test_data_dir.py",
        [("sync_folder(self.path)", "pass"), ("os.fsync(file.fileno())", "pass")],
    ),
    "app/tables/dynamodb/timeline.py": (
        "tests/contracts/test_timeline_table.py tests/contracts/test_dynamodb_timeline.py -k 'not sqlite'",
        [
            ("Limit=limit + 1,", "Limit=limit,"),
            ("if entry not in valid:", "if _record_key(entry) not in records:"),
            (
                "await self._table.transact(*required, _delete(entry), _count(month, -1))",
                "await self._table.transact(*required, _delete(entry))",
            ),
        ],
    ),
    "app/tables/sqlite/schema.py": (
        "tests/contracts/test_durability.py tests/contracts/test_sqlite_database.py",
        [
            ("os.fsync(fd)", "pass"),
            ("if 0 < version < len(migrations):", "if False:"),
            ("for statements in migrations[_version(connection) :]:", "for statements in migrations[version:]:"),
            ('connection.execute("BEGIN IMMEDIATE")', 'connection.execute("BEGIN")'),
        ],
    ),
    "app/tables/sqlite/database.py": (
        "tests/contracts/test_sqlite_database.py",
        [
            ('connection.execute("PRAGMA synchronous = FULL")', 'connection.execute("PRAGMA synchronous = NORMAL")'),
            ('self._writer.execute("ROLLBACK TO write")', "pass"),
            ("path.touch(mode=0o600)", "path.touch()"),
        ],
    ),
    "app/tables/sqlite/images.py": (
        (
            "tests/contracts/test_image_table.py tests/contracts/test_claims.py "
            "tests/contracts/test_tombstone_table.py tests/contracts/test_owner_table.py -k sqlite"
        ),
        [
            ("if quota.images and usage.images >= quota.images:", "if quota.images and usage.images > quota.images:"),
            (
                "if quota.bytes and usage.bytes + usage.reserved_bytes + image.size > quota.bytes:",
                "if quota.bytes < 0:",
            ),
            ("db.execute(_UNCOUNT, (image.size, owner_id))", "pass"),
            ('insert(db, "tombstones", Tombstone(owner_id, image_id, deleted_at))', "pass"),
            ("if db.execute(_TOMBSTONE, (image.owner_id, image.id)).fetchall():", "if False:"),
            ("if db.execute(_BLOCKED, (image.owner_id,)).fetchall():", "if False:"),
        ],
    ),
    "app/tables/sqlite/claims.py": (
        "tests/contracts/test_claims.py -k sqlite",
        [("raise ClaimLost", "return")],
    ),
    "app/tables/dynamodb/images.py": (
        (
            "tests/contracts/test_image_table.py tests/contracts/test_tombstone_table.py "
            "tests/contracts/test_owner_table.py -k dynamodb"
        ),
        [
            ("if len(images) >= limit:", "if images:"),
            ("is_counted = is_counted and not refusal.failed[2]", "pass"),
            ('values["room"] = quota.bytes - image.size + reserved', 'values["room"] = quota.bytes'),
            ('"ConditionExpression": "attribute_exists(#images)",', '"ConditionExpression": "attribute_exists(#pk)",'),
        ],
    ),
    "app/tables/dynamodb/claims.py": (
        "tests/contracts/test_claims.py tests/contracts/test_idempotency_table.py -k dynamodb",
        [
            (
                '"ConditionExpression": "#claim = :claim AND #status = :running",',
                '"ConditionExpression": "#claim = :claim",',
            ),
            ("raise ClaimLost from refusal", "return"),
        ],
    ),
    "app/tables/dynamodb/jobs.py": (
        "tests/contracts/test_job_table.py -k dynamodb",
        [
            ('ConditionExpression="#due_at <= :now",', 'ConditionExpression="#due_at <= :lease_until",'),
            ("if job.claim is None:", "if False:"),
            ("if len(items) > limit:", "if False:"),
        ],
    ),
    "app/tables/dynamodb/due_index.py": (
        "tests/contracts/test_due_index.py",
        [
            (
                "partitions = await asyncio.gather(*map(read, keys.due_partitions(kind)))",
                "partitions = await asyncio.gather(*map(read, keys.due_partitions(kind)[1:]))",
            ),
            (
                'return list(islice(heapq.merge(*partitions, key=itemgetter("due_at")), limit))',
                "return [item for items in partitions for item in items][:limit]",
            ),
        ],
    ),
    "app/tables/dynamodb/items.py": (
        "tests/contracts/test_job_table.py tests/contracts/test_dynamodb_table.py -k dynamodb",
        [('_STORED_KINDS = {"delete_account": "leave"}', "_STORED_KINDS: dict[str, str] = {}")],
    ),
    "app/common/idempotency.py": (
        "tests/unit/test_idempotency.py",
        [
            ("if seen.fingerprint != fingerprint:", "if False:"),
            ("if current != seen:", "if False:"),
            ("if await find(record.result_id) is None:", "if True:"),
            ("await asyncio.shield(self._abandon(record, find))", "pass"),
            ("if seen.leased_until > self._lease_end() + timedelta(seconds=LEASE_SECONDS):", "if False:"),
        ],
    ),
    "app/jobs/attempt.py": (
        "tests/unit/test_job_runner.py",
        [
            (
                "self._deadline.reschedule(started + LEASE_SECONDS - MARGIN_SECONDS)",
                "self._deadline.reschedule(started + LEASE_SECONDS)",
            ),
            ("raise ClaimLost", "pass"),
            ("async with self._saving:", "if True:"),
            ("if given and self._was_renewed_recently():", "if False:"),
        ],
    ),
    "app/jobs/runner.py": (
        "tests/unit/test_job_runner.py",
        [
            ("until = started + LEASE_SECONDS - MARGIN_SECONDS", "until = started + LEASE_SECONDS"),
            ("if job.attempts > retry_policy.MAX_ATTEMPTS and not spec.is_delivery:", "if False:"),
            ("await self._queue.change_visibility(message, timeout_seconds=LEASE_SECONDS)", "pass"),
            ("await spec.handler.give_up(job, job_error)", "pass"),
        ],
    ),
    "app/jobs/service.py": (
        "tests/api/test_background_rendering.py tests/api/test_account_deletion.py -k 'not aws'",
        [("await self._limiter.count(spec.rate_limit, user.id)", "pass")],
    ),
    "app/services/downloads.py": (
        "tests/api/test_downloads.py tests/api/test_scanning.py -k 'not aws'",
        [
            ("await self._store.delete([key])", "pass"),
            ("ids = sorted(set(image_ids))", "ids = list(image_ids)"),
            ("await self._store.delete([old.key for old in older if old.modified_at < before])", "pass"),
            ("return None if image.is_pending else image", "return image"),
            ("await self._report_note(attempt, _note(len(ids) - writer.images))", "pass"),
        ],
    ),
    "app/services/thumbnails.py": (
        "tests/api/test_background_rendering.py tests/api/test_races.py -k 'not aws'",
        [
            ('rate_limit=RateLimit("thumbnails", limit=100, window_seconds=3600),', ""),
            ("await self._store.delete(image.object_keys)", "pass"),
        ],
    ),
    "app/services/uploads.py": (
        "tests/api/test_failures.py tests/api/test_races.py tests/api/test_upload.py -k 'not aws'",
        [
            ("await asyncio.shield(self._delete_objects(keys))", "pass"),
            ("await self._images.remove(image.owner_id, image.id, events=events)", "pass"),
        ],
    ),
    "app/services/library.py": (
        "tests/api/test_library.py -k 'not aws'",
        [
            (
                "images = await self._images.page(user.id, before=before, limit=limit + 1)",
                "images = await self._images.page(user.id, before=before, limit=limit)",
            )
        ],
    ),
    "app/services/direct_uploads.py": (
        "tests/api/test_direct_uploads.py -k 'not aws'",
        [
            ("if upload.sha256 is not None and sha256 != upload.sha256:", "if False:"),
            ("if size != upload.size:", "if False:"),
            ("if size != claims.size or claims.sha256 not in (None, sha256):", "if False:"),
        ],
    ),
    "app/consistency/settlement.py": (
        "tests/unit/test_reconciler.py",
        [
            ("due = await self._due(entry, image, work.state)", "due = await self._due(entry, None, work.state)"),
            ("due = expired if image or expired == keys else set[str]()", "due = expired"),
            (
                (
                    "return state.started_at is not None and "
                    "max(first_seen, state.unbroken_since) <= state.started_at - self._grace"
                ),
                "return state.started_at is not None and first_seen <= state.started_at - self._grace",
            ),
            ("if await self._ports.tombstones.add_tombstone(tombstone):", "if True:"),
            ("deleted[today] = deleted.get(today, 0) + originals_due", "pass"),
        ],
    ),
    "app/consistency/comparison.py": (
        "tests/unit/test_reconciler.py",
        [
            ("if await find_record(self._ports.images, folder.owner_id, folder.image_id):", "if False:"),
            ("if owner_deleted_at and folder.modified_at <= owner_deleted_at:", "if owner_deleted_at:"),
        ],
    ),
    "app/api/multipart.py": (
        "tests/api/test_upload.py tests/api/test_what_clients_send.py -k 'not aws'",
        [
            ("if self._parts > _MAX_PARTS:", "if False:"),
            ("if not self._ended or (self._has_preamble and not self._parts):", "if False:"),
            ("if len(self._value) > _MAX_FIELD:", "if False:"),
        ],
    ),
    "app/auth/sessions.py": (
        "tests/contracts/test_local_accounts.py tests/contracts/test_accounts.py",
        [("await self._table.remove_session(account_id, session_id)", "pass")],
    ),
    "app/auth/access_tokens.py": (
        "tests/contracts/test_local_accounts.py tests/contracts/test_accounts.py",
        [("if claims.expires_at <= now.timestamp():", "if False:")],
    ),
    "app/auth/sign_in.py": (
        "tests/contracts/test_local_accounts.py tests/contracts/test_accounts.py",
        [("await self._limiter.count(_PER_EMAIL, address)", "pass")],
    ),
    "app/services/shares.py": (
        "tests/api/test_shares.py -k 'not aws'",
        [
            ("if share is None or share.is_expired(self._clock()):", "if share is None:"),
            ("await self._limiter.count(_GUESSES_OF_ADDRESS, share.id, address)", "pass"),
            ("await self._users.require_usable(share.owner_id)", "pass"),
        ],
    ),
    "app/common/pagination.py": (
        "tests/unit/test_pagination.py",
        [("if owner_id != user.id:", "if False:")],
    ),
    "app/common/ssrf_guard.py": (
        "tests/unit/test_ssrf_guard.py",
        [('"192.88.99.0/24",  # 6to4 relays', ""), ("return False", "return True")],
    ),
    "app/imaging/child.py": (
        "tests/contracts/test_renderer.py",
        [
            ("resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))", "pass"),
            ("signal.alarm(config.wall_seconds + _GRACE_SECONDS)", "pass"),
            ("os.killpg(child, signal.SIGKILL)", "pass"),
        ],
    ),
}
