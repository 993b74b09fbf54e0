"""The share of an owner's usage that open direct uploads reserve.

The attribute `bytes` of the usage item includes the reserved bytes.
"""

from __future__ import annotations

from app.domain.images import Quota
from app.domain.uploads import MAX_OPEN_UPLOADS, DirectUpload
from app.tables.dynamodb import keys
from app.tables.dynamodb.items import time_to_ttl, upload_ttl
from app.tables.dynamodb.table import Action


def reserve(upload: DirectUpload, *, quota: Quota) -> Action:
    """Return the action that counts the upload, unless the quota or the number of open uploads does not allow it."""
    values = {"zero": 0, "one": 1, "size": upload.size, "max": MAX_OPEN_UPLOADS}
    conditions = [
        "attribute_not_exists(#closed_until)",
        "(attribute_not_exists(#open_uploads) OR #open_uploads < :max)",
    ]
    if quota.bytes:
        values["room"] = quota.bytes - upload.size
        is_within = "#bytes <= :room"
        conditions.append(f"(attribute_not_exists(#bytes) OR {is_within})" if values["room"] >= 0 else is_within)
    return "Update", {
        "Key": keys.usage_key(upload.owner_id),
        # The quota of images applies only to a usage that has this attribute.
        "UpdateExpression": "ADD #images :zero, #bytes :size, #reserved_bytes :size, #open_uploads :one",
        "ConditionExpression": " AND ".join(conditions),
        "values": values,
    }


def close_open(upload: DirectUpload) -> Action:
    """Return the action that sets the upload not open. It fails unless the upload is open."""
    return "Update", {
        "Key": keys.upload_key(upload.owner_id, upload.id),
        "UpdateExpression": "SET #is_open = :no, #expires_at = :ttl REMOVE #due, #due_at",
        "ConditionExpression": "#is_open = :yes",
        "values": {"no": False, "yes": True, "ttl": time_to_ttl(upload_ttl(upload))},
    }


def uncount(upload: DirectUpload) -> Action:
    """Return the action that takes the upload off the usage. It fails for an owner whose data were deleted."""
    return "Update", {
        "Key": keys.usage_key(upload.owner_id),
        "UpdateExpression": "ADD #bytes :size, #reserved_bytes :size, #open_uploads :one",
        "ConditionExpression": "attribute_exists(#open_uploads)",
        "values": {"one": -1, "size": -upload.size},
    }
