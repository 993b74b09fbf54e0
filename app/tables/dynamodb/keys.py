"""Keys of the items in the table, as in docs/decisions/0004-one-table.md. Stored spellings never change."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from uuid import UUID

IMAGE_PREFIX = "IMAGE#"
UPLOAD_PREFIX = "UPLOAD#"
IDEMPOTENCY_PREFIX = "ONCE#"
JOB_PREFIX = "JOB#"
SESSION_PREFIX = "SESSION#"
TOMBSTONE_PREFIX = "DELETED#"
SHARE_PREFIX = "SHARE#"
TAKEN_PREFIX = "TAKEN#"
AFTER_TAKEN = "TAKEN$"
"""Behind all keys with TAKEN_PREFIX."""
MONTH_PREFIX = "MONTH#"
_USER_PREFIX = "USER#"

USAGE = "USAGE"
ACCOUNT = "ACCOUNT"
STORE_ID_KEY = {"pk": "STORE", "sk": "STORE"}
RECONCILE_STATE_KEY = {"pk": "RECONCILE", "sk": "STATE"}
DISCREPANCY_SHARDS = "0123456789abcdef"

DUE_INDEX = "due-jobs"
"""The index of unfinished jobs, open tombstones, open direct uploads and new events, by when they are due."""
DUE_JOBS = "JOBS"
DUE_TOMBSTONES = "DELETIONS"
DUE_UPLOADS = "UPLOADS"
DUE_EVENTS = "EVENTS"
DUE_SHARDS = 32
"""How many partitions of the index each kind of item has. Each takes 1,000 writes per second, and a job needs four."""

SERVER_KEYS = "SERVERKEYS"
WEBHOOKS = "WEBHOOKS"
OWNER_SHARDS = "0123456789abcdef"
AUDIT_SHARDS = "0123456789abcdef"
"""Each shard of a day takes 1,000 writes per second."""

Key = dict[str, str]


def user_partition(user_id: str) -> str:
    return f"{_USER_PREFIX}{user_id}"


def user_of(partition: str) -> str:
    return partition.removeprefix(_USER_PREFIX)


def image_key(owner_id: str, image_id: str) -> Key:
    return {"pk": user_partition(owner_id), "sk": f"{IMAGE_PREFIX}{image_id}"}


def usage_key(owner_id: str) -> Key:
    return {"pk": user_partition(owner_id), "sk": USAGE}


def upload_key(owner_id: str, upload_id: str) -> Key:
    return {"pk": user_partition(owner_id), "sk": f"{UPLOAD_PREFIX}{upload_id}"}


def idempotency_key(owner_id: str, key: str) -> Key:
    return {"pk": user_partition(owner_id), "sk": f"{IDEMPOTENCY_PREFIX}{_digest(key)}"}


def ean_prefix(ean: str) -> str:
    return f"EAN#{ean}#"


def ean_key(owner_id: str, ean: str, image_id: str) -> Key:
    return {"pk": user_partition(owner_id), "sk": f"{ean_prefix(ean)}{image_id}"}


def taken_key(owner_id: str, time: str, image_id: str) -> Key:
    """Return the key of the item that lists an image by its sorting time."""
    return {"pk": user_partition(owner_id), "sk": f"{TAKEN_PREFIX}{time}#{image_id}"}


def month_key(owner_id: str, month: str) -> Key:
    return {"pk": user_partition(owner_id), "sk": f"{MONTH_PREFIX}{month}"}


def job_key(owner_id: str, job_id: str) -> Key:
    return {"pk": user_partition(owner_id), "sk": f"{JOB_PREFIX}{job_id}"}


def tombstone_key(owner_id: str, image_id: str) -> Key:
    return {"pk": user_partition(owner_id), "sk": f"{TOMBSTONE_PREFIX}{image_id}"}


def owner_deletion_key(owner_id: str) -> Key:
    return {"pk": user_partition(owner_id), "sk": "DELETED"}


def due_partition(kind: str, item_id: str) -> str:
    """Return the partition of the index for a job, tombstone, direct upload or event. It never changes."""
    return f"{kind}#{int(_digest(item_id)[:8], 16) % DUE_SHARDS:02}"


def due_partitions(kind: str) -> list[str]:
    """Return all partitions of the index that may contain items of this kind."""
    # An earlier version of the service did not use shards.
    return [kind, *(f"{kind}#{shard:02}" for shard in range(DUE_SHARDS))]


def discrepancy_partition(shard: str) -> str:
    return f"DISCREPANCIES#{shard}"


def discrepancy_key(owner_id: str, image_id: str, name: str) -> Key:
    # The last digit of an id is random, so that many discrepancies do not all go to one partition.
    return {"pk": discrepancy_partition(image_id[-1]), "sk": f"{owner_id}#{image_id}#{name}"}


def after_discrepancies_of(owner_id: str, image_id: str) -> str:
    """Return a sort key behind those of the image, and before those of the next one."""
    return f"{owner_id}#{image_id}$"


def owner_shard(owner_id: str) -> str:
    return _digest(owner_id)[0]


def owner_index_partition(shard: str) -> str:
    return f"OWNERS#{shard}"


def owner_index_key(owner_id: str) -> Key:
    return {"pk": owner_index_partition(owner_shard(owner_id)), "sk": owner_id}


def server_key_key(key_id: str) -> Key:
    return {"pk": SERVER_KEYS, "sk": key_id}


def endpoint_key(endpoint_id: str) -> Key:
    return {"pk": WEBHOOKS, "sk": endpoint_id}


def share_key(owner_id: str, share_id: str) -> Key:
    return {"pk": user_partition(owner_id), "sk": f"{SHARE_PREFIX}{share_id}"}


def share_owner_key(share_id: str) -> Key:
    """Return the key of the item that tells whose share it is, because a link does not contain the owner."""
    return {"pk": f"{SHARE_PREFIX}{share_id}", "sk": "OWNER"}


def event_key(event_id: str) -> Key:
    # Not in the partition of an owner, so that `account.deleted` outlives the owner's items.
    return {"pk": f"EVENT#{event_id}", "sk": "EVENT"}


def audit_partition(owner_id: str | None) -> str:
    return f"AUDIT#{owner_id or ''}"


def audit_key(owner_id: str | None, entry_id: str) -> Key:
    return {"pk": audit_partition(owner_id), "sk": entry_id}


def audit_shard(entry_id: str) -> str:
    # The last digit of an id is random.
    return AUDIT_SHARDS[int(entry_id[-1], 16) % len(AUDIT_SHARDS)]


def audit_index_partition(day: date, shard: str) -> str:
    return f"AUDIT#{day.isoformat()}#{shard}"


def first_id_of_day(day: date) -> str:
    """Return a UUIDv7 that is not greater than any id of the day (UTC)."""
    milliseconds = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    return str(UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62))


def account_partition(account_id: str) -> str:
    return f"ACCOUNT#{account_id}"


def account_key(account_id: str) -> Key:
    return {"pk": account_partition(account_id), "sk": ACCOUNT}


def session_key(account_id: str, session_id: str) -> Key:
    return {"pk": account_partition(account_id), "sk": f"{SESSION_PREFIX}{session_id}"}


def email_key(email_key: str) -> Key:
    return {"pk": f"EMAIL#{_digest(email_key)}", "sk": "EMAIL"}


def counter_key(key: str) -> Key:
    return {"pk": f"ATTEMPTS#{_digest(key)}", "sk": "ATTEMPTS"}


def _digest(text: str) -> str:
    # A partition key holds at most 2,048 bytes and a sort key 1,024. Clients may send more.
    return hashlib.sha256(text.encode()).hexdigest()
