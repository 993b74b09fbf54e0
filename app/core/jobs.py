"""Work that is done in the background, as its record tells of it; the queue only carries whose turn it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.core.models import EXPORTS_PREFIX, JobClaim


class JobKind(StrEnum):
    FETCH = "fetch"
    """A product's image is found by its EAN and kept."""
    RENDER = "render"
    """The thumbnails of an image that is there are made."""
    EXPORT = "export"
    """All that a user has is put into one ZIP file."""
    LEAVE = "leave"
    """All that a user has is removed, then the account."""


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    """An attempt has failed for a passing reason, and another will be made."""
    COMPLETED = "completed"
    FAILED = "failed"


FINISHED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED})


@dataclass(frozen=True, slots=True)
class JobError:
    """Why the last attempt failed: one of the codes of core.errors, and a sentence for the user."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    owner_id: str
    kind: JobKind
    created_at: datetime
    updated_at: datetime
    due_at: datetime | None
    """From when on it may be claimed: the end of its lease while it runs, None once it is finished."""
    status: JobStatus = JobStatus.QUEUED
    claim: str | None = None
    """Tells the running attempt from one that has lost its lease."""
    attempts: int = 0
    """How often it was begun."""
    progress: int = 0
    """Percent."""
    error: JobError | None = None
    ean: str | None = None
    """Of a FETCH."""
    description: str | None = None
    """Of the image that a FETCH makes."""
    image_id: str | None = None
    """The image that a RENDER is about, or that a FETCH is making or has made."""

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    @property
    def job_claim(self) -> JobClaim:
        """The claim of the attempt that runs."""
        return JobClaim(self.id, self.claim or "")

    @property
    def export_key(self) -> str:
        """Where an EXPORT puts its ZIP file."""
        return f"{EXPORTS_PREFIX}{self.owner_id}/{self.id}.zip"


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job that nobody is at, though its time has come."""

    owner_id: str
    id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class JobMessage:
    """A job's turn, as received from the queue."""

    owner_id: str
    job_id: str
    receipt: str
    """What the queue knows this delivery by."""
