"""What the items of the table are made of: their keys (docs/decisions/0004-one-table.md), attributes and times."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.core.emails import normalise

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

IMAGE_PREFIX = "IMAGE#"
USAGE = "USAGE"
STORE_KEY = {"pk": "STORE", "sk": "STORE"}
UPLOAD_PREFIX = "UPLOAD#"
ONCE_PREFIX = "ONCE#"
JOB_PREFIX = "JOB#"
TOMBSTONE_PREFIX = "DELETED#"
SESSION_PREFIX = "SESSION#"
_USER_PREFIX = "USER#"

DUE_JOBS = "due-jobs"
"""The index of the jobs that are not finished, by the time they are due."""
OPEN_TOMBSTONES = "DELETIONS"
"""The partition of the same index that holds the tombstones whose objects may not be gone yet."""
DUE = "JOBS"
"""The one partition of that index. It takes 1,000 writes a second and a job needs some ten of them: more jobs than the
workers get through, and the oldest of all owners are one Query."""


def user_partition(user_id: str) -> str:
    return f"{_USER_PREFIX}{user_id}"


def user_of(partition: str) -> str:
    return partition.removeprefix(_USER_PREFIX)


def image_key(owner_id: str, image_id: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": f"{IMAGE_PREFIX}{image_id}"}


def usage_key(owner_id: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": USAGE}


def upload_key(owner_id: str, upload_id: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": f"{UPLOAD_PREFIX}{upload_id}"}


def once_key(owner_id: str, key: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": f"{ONCE_PREFIX}{_digest(key)}"}


def ean_prefix(ean: str) -> str:
    return f"EAN#{ean}#"


def ean_key(owner_id: str, ean: str, image_id: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": f"{ean_prefix(ean)}{image_id}"}


def job_key(owner_id: str, job_id: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": f"{JOB_PREFIX}{job_id}"}


def tombstone_key(owner_id: str, image_id: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": f"{TOMBSTONE_PREFIX}{image_id}"}


def deletion_key(owner_id: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": "DELETED"}


DISCREPANCY_SHARDS = "0123456789abcdef"
RECONCILE_STATE_KEY = {"pk": "RECONCILE", "sk": "STATE"}


def discrepancy_partition(shard: str) -> str:
    return f"DISCREPANCIES#{shard}"


def discrepancy_key(owner_id: str, image_id: str, name: str) -> dict[str, str]:
    # The last digit of an id is random, so that a store full of unreferenced objects does not fill one partition.
    return {"pk": discrepancy_partition(image_id[-1]), "sk": f"{owner_id}#{image_id}#{name}"}


def account_partition(account_id: str) -> str:
    return f"ACCOUNT#{account_id}"


def account_key(account_id: str) -> dict[str, str]:
    return {"pk": account_partition(account_id), "sk": "ACCOUNT"}


def session_key(account_id: str, session_id: str) -> dict[str, str]:
    return {"pk": account_partition(account_id), "sk": f"{SESSION_PREFIX}{session_id}"}


def email_key(email: str) -> dict[str, str]:
    return {"pk": f"EMAIL#{_digest(normalise(email))}", "sk": "EMAIL"}


def attempts_key(key: str) -> dict[str, str]:
    return {"pk": f"ATTEMPTS#{_digest(key)}", "sk": "ATTEMPTS"}


# A partition key holds at most 2,048 bytes and a sort key 1,024; what clients send may be longer.
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def to_item(fields: Mapping[str, Any]) -> dict[str, AttributeValueTypeDef]:
    """Encode a mapping of str, bool, int, list and dict; fields that are None are left out."""
    return {name: to_attribute(value) for name, value in fields.items() if value is not None}


def to_attribute(value: object) -> AttributeValueTypeDef:
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case list() | tuple():
            return {"L": [to_attribute(each) for each in value]}
        case dict():
            return {"M": to_item(value)}
        case _:
            raise TypeError(f"cannot be an attribute: {value!r}")


def from_item(item: Mapping[str, AttributeValueTypeDef]) -> dict[str, Any]:
    return {name: _from_attribute(attribute) for name, attribute in item.items()}


def _from_attribute(attribute: AttributeValueTypeDef) -> object:
    match attribute:
        case {"S": text}:
            return text
        case {"BOOL": flag}:
            return flag
        case {"N": digits}:
            return int(digits)
        case {"L": values}:
            return [_from_attribute(each) for each in values]
        case {"M": fields}:
            return from_item(fields)
        case _:
            raise TypeError(f"not an attribute of this service: {attribute!r}")


# Always of the same width, so that these compare as times.
def time_to_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def time_to_ttl(time: datetime) -> int:
    """Return the whole second from which DynamoDB may delete an item that is over at `time`."""
    return math.ceil(time.timestamp())


def change_to(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an update that sets `fields`, and removes those that are None."""
    values = {name: value for name, value in fields.items() if value is not None}
    sets = ", ".join(f"#{name} = :{name}" for name in values)
    removes = ", ".join(f"#{name}" for name in fields if name not in values)
    change = " ".join(filter(None, (sets and f"SET {sets}", removes and f"REMOVE {removes}")))
    return {"UpdateExpression": change, "values": values}
