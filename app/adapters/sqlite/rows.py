"""Between the service's records and the values of SQLite rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from app.core.jobs import Job, JobError, JobKind, JobStatus
from app.core.models import Account, DirectUpload, Image, OnceRecord, Source, Thumbnail, ThumbnailStatus


def time_to_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def time_from_text(text: str) -> datetime:
    return datetime.fromisoformat(text)


def image_to_values(image: Image) -> dict[str, Any]:
    return {
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
        "thumbnails": thumbnails_to_text(image.thumbnails),
        "source": json.dumps(asdict(image.source)) if image.source else None,
        "ean": image.source.ean if image.source else None,
    }


def image_from_row(row: sqlite3.Row) -> Image:
    return Image(
        id=row["id"],
        owner_id=row["owner_id"],
        filename=row["filename"],
        description=row["description"],
        content_type=row["content_type"],
        size=row["size"],
        sha256=row["sha256"],
        width=row["width"],
        height=row["height"],
        uploaded_at=time_from_text(row["uploaded_at"]),
        placeholder=row["placeholder"],
        thumbnails=_thumbnails_from_text(row["thumbnails"]),
        source=Source(**json.loads(row["source"])) if row["source"] else None,
    )


def thumbnails_to_text(thumbnails: Iterable[Thumbnail]) -> str:
    return json.dumps([asdict(thumbnail) for thumbnail in thumbnails])


def _thumbnails_from_text(text: str) -> tuple[Thumbnail, ...]:
    return tuple(Thumbnail(**{**each, "status": ThumbnailStatus(each["status"])}) for each in json.loads(text))


def account_from_row(row: sqlite3.Row) -> Account:
    return Account(
        id=row["id"],
        email=row["email"],
        password_hash=row["password_hash"],
        display_name=row["display_name"],
        created_at=time_from_text(row["created_at"]),
    )


def upload_to_values(upload: DirectUpload) -> dict[str, Any]:
    return {**asdict(upload), "expires_at": time_to_text(upload.expires_at)}


def upload_from_row(row: sqlite3.Row) -> DirectUpload:
    return DirectUpload(
        id=row["id"],
        owner_id=row["owner_id"],
        filename=row["filename"],
        description=row["description"],
        content_type=row["content_type"],
        size=row["size"],
        sha256=row["sha256"],
        expires_at=time_from_text(row["expires_at"]),
    )


def once_to_values(record: OnceRecord) -> dict[str, Any]:
    times = {"leased_until": time_to_text(record.leased_until), "expires_at": time_to_text(record.expires_at)}
    return {**asdict(record), **times}


def once_from_row(row: sqlite3.Row) -> OnceRecord:
    return OnceRecord(
        owner_id=row["owner_id"],
        key=row["key"],
        fingerprint=row["fingerprint"],
        result_id=row["result_id"],
        done=bool(row["done"]),
        leased_until=time_from_text(row["leased_until"]),
        expires_at=time_from_text(row["expires_at"]),
    )


def job_to_values(job: Job) -> dict[str, Any]:
    return {
        **asdict(job),
        "created_at": time_to_text(job.created_at),
        "updated_at": time_to_text(job.updated_at),
        "due_at": time_to_text(job.due_at) if job.due_at else None,
        "error": json.dumps(asdict(job.error)) if job.error else None,
    }


def job_from_row(row: sqlite3.Row) -> Job:
    return Job(
        id=row["id"],
        owner_id=row["owner_id"],
        kind=JobKind(row["kind"]),
        created_at=time_from_text(row["created_at"]),
        updated_at=time_from_text(row["updated_at"]),
        due_at=time_from_text(row["due_at"]) if row["due_at"] else None,
        status=JobStatus(row["status"]),
        claim=row["claim"],
        attempts=row["attempts"],
        progress=row["progress"],
        error=JobError(**json.loads(row["error"])) if row["error"] else None,
        ean=row["ean"],
        description=row["description"],
        image_id=row["image_id"],
    )
