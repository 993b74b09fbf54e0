"""Between the service's records and the fields of their items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from app.adapters.dynamodb.items import (
    DUE,
    OPEN_TOMBSTONES,
    account_key,
    image_key,
    job_key,
    once_key,
    session_key,
    time_to_text,
    time_to_ttl,
    tombstone_key,
    upload_key,
)
from app.core.jobs import Job, JobError, JobKind, JobStatus
from app.core.models import (
    Account,
    DirectUpload,
    Image,
    OnceRecord,
    Session,
    Source,
    Thumbnail,
    ThumbnailStatus,
    Tombstone,
)

_UPLOAD_KEPT = timedelta(days=1)
_JOB_KEPT = timedelta(days=30)


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
        "source": asdict(image.source) if image.source else None,
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
        placeholder=fields.get("placeholder"),
        thumbnails=tuple(_thumbnail(each) for each in fields["thumbnails"]),
        source=_source(fields["source"]) if "source" in fields else None,
    )


def _thumbnail(fields: Mapping[str, Any]) -> Thumbnail:
    return Thumbnail(**{**fields, "status": ThumbnailStatus(fields["status"])})


def _source(fields: Mapping[str, Any]) -> Source:
    # An attribute is never None, but left out.
    return Source(**{"product_name": None, "brand": None, **fields})


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


def tombstone_to_fields(tombstone: Tombstone) -> dict[str, Any]:
    """Return the item of an open tombstone."""
    deleted_at = time_to_text(tombstone.deleted_at)
    return {
        **tombstone_key(tombstone.owner_id, tombstone.image_id),
        "owner_id": tombstone.owner_id,
        "image_id": tombstone.image_id,
        "deleted_at": deleted_at,
        "due": OPEN_TOMBSTONES,
        "due_at": deleted_at,
    }


def tombstone_from_fields(fields: Mapping[str, Any]) -> Tombstone:
    return Tombstone(fields["owner_id"], fields["image_id"], datetime.fromisoformat(fields["deleted_at"]))


def job_to_fields(job: Job) -> dict[str, Any]:
    return {
        **job_key(job.owner_id, job.id),
        "id": job.id,
        "owner_id": job.owner_id,
        "kind": job.kind,
        "created_at": time_to_text(job.created_at),
        "claim": job.claim,
        **changing_job_fields(job),
    }


def changing_job_fields(job: Job) -> dict[str, Any]:
    return {
        "updated_at": time_to_text(job.updated_at),
        "due_at": time_to_text(job.due_at) if job.due_at else None,
        # Together with due_at it is what puts the job into the index.
        "due": DUE if job.due_at else None,
        "status": job.status,
        "attempts": job.attempts,
        "progress": job.progress,
        "error": asdict(job.error) if job.error else None,
        "ean": job.ean,
        "description": job.description,
        "image_id": job.image_id,
        "expires_at": time_to_ttl(job.updated_at + _JOB_KEPT) if job.is_finished else None,
    }


def job_from_fields(fields: Mapping[str, Any]) -> Job:
    return Job(
        id=fields["id"],
        owner_id=fields["owner_id"],
        kind=JobKind(fields["kind"]),
        created_at=datetime.fromisoformat(fields["created_at"]),
        updated_at=datetime.fromisoformat(fields["updated_at"]),
        due_at=datetime.fromisoformat(fields["due_at"]) if "due_at" in fields else None,
        status=JobStatus(fields["status"]),
        claim=fields.get("claim"),
        attempts=fields["attempts"],
        progress=fields["progress"],
        error=JobError(**fields["error"]) if "error" in fields else None,
        ean=fields.get("ean"),
        description=fields.get("description"),
        image_id=fields.get("image_id"),
    )
