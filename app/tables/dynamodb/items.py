"""Converts records to DynamoDB items and back: keys, attribute types, TTL, and stored spellings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from app.domain.accounts import Account, Session
from app.domain.administration import AuditEntry, ServerKey
from app.domain.claims import IdempotencyRecord
from app.domain.events import Event, WebhookEndpoint
from app.domain.ids import id_timestamp
from app.domain.images import Image, Tombstone
from app.domain.jobs import Job
from app.domain.shares import Share
from app.domain.uploads import DirectUpload
from app.tables.dynamodb import keys
from app.tables.serializer import from_fields, time_to_text, to_fields

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

_UPLOAD_RETENTION = timedelta(days=1)
_JOB_RETENTION = timedelta(days=30)
_EVENT_RETENTION = timedelta(days=30)
_STORED_KINDS = {"delete_account": "leave"}
"""Job kinds that were renamed. Workers of an earlier version run side by side with this one during a deployment."""
_KINDS = {stored: kind for kind, stored in _STORED_KINDS.items()}

Fields = dict[str, Any]


def image_item(image: Image) -> Fields:
    return {**keys.image_key(image.owner_id, image.id), **to_fields(image)}


def account_item(account: Account) -> Fields:
    return {**keys.account_key(account.id), **to_fields(account)}


def session_item(session: Session) -> Fields:
    fields = {**keys.session_key(session.account_id, session.id), **to_fields(session)}
    return _expiring(fields, session.expires_at)


def session_from_item(fields: Fields) -> Session:
    return from_fields(Session, _without_ttl(fields))


def upload_item(upload: DirectUpload) -> Fields:
    fields = {**keys.upload_key(upload.owner_id, upload.id), **to_fields(upload)}
    if not upload.is_open:
        return _expiring(fields, upload_ttl(upload))
    # TTL must not delete an open upload, because nothing would release its reservation then.
    ends_at = fields.pop("expires_at")
    return {**fields, "ends_at": ends_at, "due": keys.due_partition(keys.DUE_UPLOADS, upload.id), "due_at": ends_at}


def upload_ttl(upload: DirectUpload) -> datetime:
    """Return the time from which an upload that is not open may be deleted."""
    return upload.expires_at + _UPLOAD_RETENTION


def upload_from_item(fields: Fields) -> DirectUpload:
    return from_fields(DirectUpload, _without_ttl(fields))


def idempotency_item(record: IdempotencyRecord) -> Fields:
    fields = {**keys.idempotency_key(record.owner_id, record.key), **to_fields(record)}
    return _expiring(fields, record.expires_at)


def idempotency_from_item(fields: Fields) -> IdempotencyRecord:
    return from_fields(IdempotencyRecord, _without_ttl(fields))


def tombstone_item(tombstone: Tombstone) -> Fields:
    """Return the item of an open tombstone."""
    fields = to_fields(tombstone)
    due = {"due": keys.due_partition(keys.DUE_TOMBSTONES, tombstone.image_id), "due_at": fields["deleted_at"]}
    return {**keys.tombstone_key(tombstone.owner_id, tombstone.image_id), **fields, **due}


def job_item(job: Job) -> Fields:
    fields = {**keys.job_key(job.owner_id, job.id), **to_fields(job)}
    fields["kind"] = _STORED_KINDS.get(job.kind, job.kind)
    # A job is in the index as long as it has both attributes.
    fields["due"] = keys.due_partition(keys.DUE_JOBS, job.id) if job.due_at else None
    fields["expires_at"] = time_to_ttl(job.updated_at + _JOB_RETENTION) if job.is_finished else None
    return fields


def job_from_item(fields: Fields) -> Job:
    return from_fields(Job, {**fields, "kind": _KINDS.get(fields["kind"], fields["kind"])})


def server_key_item(key: ServerKey) -> Fields:
    return {**keys.server_key_key(key.id), **to_fields(key)}


def share_item(share: Share) -> Fields:
    # TTL ignores the attribute `expires_at`, because it is text: an expired share stays until its owner deletes it.
    return {**keys.share_key(share.owner_id, share.id), **to_fields(share)}


def endpoint_item(endpoint: WebhookEndpoint) -> Fields:
    return {**keys.endpoint_key(endpoint.id), **to_fields(endpoint)}


def event_item(event: Event) -> Fields:
    """Return the item of an event that is due."""
    fields = to_fields(event)
    due = {"due": keys.due_partition(keys.DUE_EVENTS, event.id), "due_at": fields["occurred_at"]}
    return {
        **keys.event_key(event.id),
        **fields,
        **due,
        "expires_at": time_to_ttl(event.occurred_at + _EVENT_RETENTION),
    }


def audit_item(entry: AuditEntry) -> Fields:
    day = id_timestamp(entry.id).date()
    index = {"due": keys.audit_index_partition(day, keys.audit_shard(entry.id)), "due_at": entry.id}
    fields = {**keys.audit_key(entry.owner_id, entry.id), **index, **to_fields(entry)}
    return _expiring(fields, entry.expires_at)


def audit_entry_from_item(fields: Fields) -> AuditEntry:
    return from_fields(AuditEntry, _without_ttl(fields))


def _expiring(fields: Fields, ttl: datetime) -> Fields:
    """Move the exact time of `expires_at` to `ends_at`, since the attribute `expires_at` is the table's TTL."""
    return {**fields, "ends_at": fields["expires_at"], "expires_at": time_to_ttl(ttl)}


def _without_ttl(fields: Fields) -> Fields:
    return {**fields, "expires_at": fields["ends_at"]}


def time_to_ttl(time: datetime) -> int:
    """Return the full second from which DynamoDB may delete an item that expires at `time`."""
    return math.ceil(time.timestamp())


def to_attributes(fields: Mapping[str, Any]) -> dict[str, AttributeValueTypeDef]:
    """Encode text, booleans, numbers, lists and dictionaries; leave out what is None. Times become text."""
    return {name: to_attribute(value) for name, value in fields.items() if value is not None}


def to_attribute(value: object) -> AttributeValueTypeDef:
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | float():
            # A float without an exponent and zeros at the end, as DynamoDB returns it.
            return {"N": str(value) if isinstance(value, int) else format(Decimal(str(value)).normalize(), "f")}
        case datetime():
            return {"S": time_to_text(value)}
        case list() | tuple():
            return {"L": [to_attribute(each) for each in value]}
        case dict():
            return {"M": to_attributes(value)}
        case _:
            raise TypeError(f"cannot be an attribute: {value!r}")


def from_attributes(item: Mapping[str, AttributeValueTypeDef]) -> Fields:
    # A page of a list has thousands of attributes, and most of them are text.
    return {name: each["S"] if "S" in each else _from_attribute(each) for name, each in item.items()}


def _from_attribute(attribute: AttributeValueTypeDef) -> object:
    # A `match` statement takes twice as long.
    value: Any
    [(kind, value)] = attribute.items()
    if kind == "N":
        return int(value) if value.isdigit() else _to_number(value)
    if kind == "M":
        return from_attributes(value)
    if kind == "L":
        return [_from_attribute(each) for each in value]
    if kind in ("S", "BOOL"):
        return value
    raise TypeError(f"not an attribute that this service writes: {attribute!r}")


def _to_number(digits: str) -> int | float:
    return int(digits) if digits.lstrip("-").isdigit() else float(digits)


def update_of(fields: Mapping[str, Any]) -> Fields:
    """Return the parameters of an update that sets `fields` and removes those that are None."""
    values = {name: value for name, value in fields.items() if value is not None}
    sets = ", ".join(f"#{name} = :{name}" for name in values)
    removes = ", ".join(f"#{name}" for name in fields if name not in values)
    expression = " ".join(filter(None, (sets and f"SET {sets}", removes and f"REMOVE {removes}")))
    return {"UpdateExpression": expression, "values": values}
