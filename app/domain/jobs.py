"""Background jobs: their records, and the messages that the queue carries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.claims import JobClaim


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    """An attempt failed for a transient reason, and another attempt will follow."""
    COMPLETED = "completed"
    FAILED = "failed"


FINISHED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED})


@dataclass(frozen=True, slots=True)
class JobError:
    """Why the latest attempt failed: a code of domain.errors, and a sentence for the user."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    owner_id: str
    kind: str
    """The kind of a registered JobSpec (jobs.registry)."""
    created_at: datetime
    updated_at: datetime
    due_at: datetime | None
    """When the job may be claimed: the end of the lease while it runs, None once it is finished."""
    status: JobStatus = JobStatus.QUEUED
    claim: str | None = None
    """Distinguishes the running attempt from one that lost its lease."""
    attempts: int = 0
    """How many attempts were started."""
    progress: int = 0
    """Percent."""
    error: JobError | None = None
    ean: str | None = None
    """The normalized code of the product whose image is fetched."""
    description: str | None = None
    """The description of the image that the job creates. For an export or a download: what had to be left out."""
    image_id: str | None = None
    """The image that the job is about, or that it creates."""
    event_id: str | None = None
    """The event that a delivery to a webhook endpoint sends."""

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    @property
    def job_claim(self) -> JobClaim:
        """The claim of the attempt that is running."""
        return JobClaim(self.id, self.claim or "")


@dataclass(frozen=True, slots=True)
class DueJob:
    """An unfinished job whose `due_at` has passed."""

    owner_id: str
    id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class JobMessage:
    """A message received from the queue: the job should be processed."""

    owner_id: str
    job_id: str
    receipt: str
    """Identifies this delivery to the queue."""
    traceparent: str | None = None
    """The W3C trace context of the sender, if traces are exported."""
