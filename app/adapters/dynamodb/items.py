"""Between the service's records and the items of the table: keys (docs/decisions/0004-one-table.md) and attributes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.core.emails import normalise
from app.core.models import Account, DirectUpload, Image, OnceRecord, Session, Thumbnail, ThumbnailStatus

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

IMAGE_PREFIX = "IMAGE#"
USAGE = "USAGE"
STORE_KEY = {"pk": "STORE", "sk": "STORE"}
_USER_PREFIX = "USER#"
_UPLOAD_KEPT = timedelta(days=1)


def user_partition(user_id: str) -> str:
    return f"{_USER_PREFIX}{user_id}"


def user_of(partition: str) -> str:
    return partition.removeprefix(_USER_PREFIX)


def image_key(owner_id: str, image_id: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": f"{IMAGE_PREFIX}{image_id}"}


def usage_key(owner_id: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": USAGE}


def upload_key(owner_id: str, upload_id: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": f"UPLOAD#{upload_id}"}


def once_key(owner_id: str, key: str) -> dict[str, str]:
    return {"pk": user_partition(owner_id), "sk": f"ONCE#{_digest(key)}"}


def account_key(account_id: str) -> dict[str, str]:
    return {"pk": f"ACCOUNT#{account_id}", "sk": "ACCOUNT"}


def session_key(account_id: str, session_id: str) -> dict[str, str]:
    return {"pk": f"ACCOUNT#{account_id}", "sk": f"SESSION#{session_id}"}


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


def image_to_fields(image: Image) -> dict[str, Any]:
    return {
        **image_key(image.owner_id, image.id),
        "owner_id": image.owner_id,
        "id": image.id,
        "filename": image.filename,
        "description": image.description,
        "content_type": image.content_type,
        "size": image.size,
        "sha256": image.sha256,
        "width": image.width,
        "height": image.height,
        "uploaded_at": time_to_text(image.uploaded_at),
        "placeholder": image.placeholder,
        "thumbnails": thumbnails_to_list(image),
    }


def thumbnails_to_list(image: Image) -> list[dict[str, Any]]:
    return [asdict(thumbnail) for thumbnail in image.thumbnails]


def image_from_fields(fields: Mapping[str, Any]) -> Image:
    return Image(
        id=fields["id"],
        owner_id=fields["owner_id"],
        filename=fields["filename"],
        description=fields.get("description"),
        content_type=fields["content_type"],
        size=fields["size"],
        sha256=fields["sha256"],
        width=fields["width"],
        height=fields["height"],
        uploaded_at=datetime.fromisoformat(fields["uploaded_at"]),
        placeholder=fields["placeholder"],
        thumbnails=tuple(_thumbnail(each) for each in fields["thumbnails"]),
    )


def _thumbnail(fields: Mapping[str, Any]) -> Thumbnail:
    return Thumbnail(**{**fields, "status": ThumbnailStatus(fields["status"])})


def account_to_fields(account: Account) -> dict[str, Any]:
    return {
        **account_key(account.id),
        "id": account.id,
        "email": account.email,
        "password_hash": account.password_hash,
        "display_name": account.display_name,
        "created_at": time_to_text(account.created_at),
    }


def account_from_fields(fields: Mapping[str, Any]) -> Account:
    return Account(
        id=fields["id"],
        email=fields["email"],
        password_hash=fields["password_hash"],
        display_name=fields.get("display_name"),
        created_at=datetime.fromisoformat(fields["created_at"]),
    )


def session_to_fields(session: Session) -> dict[str, Any]:
    return {
        **session_key(session.account_id, session.id),
        "id": session.id,
        "account_id": session.account_id,
        "token_hash": session.token_hash,
        "ends_at": time_to_text(session.expires_at),
        "expires_at": time_to_ttl(session.expires_at),
    }


def upload_to_fields(upload: DirectUpload) -> dict[str, Any]:
    return {
        **upload_key(upload.owner_id, upload.id),
        **asdict(upload),
        "ends_at": time_to_text(upload.expires_at),
        "expires_at": time_to_ttl(upload.expires_at + _UPLOAD_KEPT),
    }


def upload_from_fields(fields: Mapping[str, Any]) -> DirectUpload:
    return DirectUpload(
        id=fields["id"],
        owner_id=fields["owner_id"],
        filename=fields["filename"],
        description=fields.get("description"),
        content_type=fields["content_type"],
        size=fields["size"],
        sha256=fields.get("sha256"),
        expires_at=datetime.fromisoformat(fields["ends_at"]),
    )


def once_to_fields(record: OnceRecord) -> dict[str, Any]:
    return {
        **once_key(record.owner_id, record.key),
        **asdict(record),
        "leased_until": time_to_text(record.leased_until),
        "ends_at": time_to_text(record.expires_at),
        "expires_at": time_to_ttl(record.expires_at),
    }


def once_from_fields(fields: Mapping[str, Any]) -> OnceRecord:
    return OnceRecord(
        owner_id=fields["owner_id"],
        key=fields["key"],
        fingerprint=fields["fingerprint"],
        result_id=fields["result_id"],
        done=fields["done"],
        leased_until=datetime.fromisoformat(fields["leased_until"]),
        expires_at=datetime.fromisoformat(fields["ends_at"]),
    )
