"""The registry of job kinds. Everything that distinguishes one kind from another is in its JobSpec."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from app.common.rate_limit import RateLimit
from app.domain.events import EventType
from app.domain.jobs import Job, JobError
from app.domain.objects import SignedUrl
from app.jobs.attempt import Attempt


class JobHandler(Protocol):
    """Processes the jobs of one kind."""

    async def run(self, attempt: Attempt) -> None:
        """Do the job, or what an earlier attempt left undone.

        Raises AppError to fail: errors with a 5xx status are transient. Two attempts may overlap for a moment. What an
        attempt writes must therefore be the same for both, or require `Job.job_claim`; the latter raises ClaimLost in
        the attempt that no longer holds the job.
        """
        ...

    async def give_up(self, job: Job, error: JobError) -> None:
        """Clean up after a job that has failed for good. Raises ClaimLost."""
        ...


@dataclass(frozen=True, slots=True)
class JobResult:
    """What the API shows of a completed job."""

    image_id: str | None = None
    download: SignedUrl | None = None
    note: str | None = None
    """What the user should know of the result, such as what is missing."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One kind of job. It is defined beside its use case and registered in the container."""

    kind: str
    """Public: clients see it, and the table stores it."""
    label: str
    """What the job does, for users, such as `Rendering thumbnails`."""
    handler: JobHandler
    result: Callable[[Job], Awaitable[JobResult]]
    rate_limit: RateLimit | None = None
    """How many jobs of this kind one user may request."""
    retries_forever: bool = False
    """Whether it is retried until it succeeds, because nobody could request it again."""
    completion_event: EventType | None = None
    """An event about the account of the job's owner, beside `job.completed`."""
    is_delivery: bool = False
    """Whether it sends an event to a webhook endpoint. Then it is no event itself, and is retried for a day."""


class JobRegistry:
    def __init__(self, specs: Iterable[JobSpec]) -> None:
        """Raises ValueError if two specs have the same kind."""
        self._specs: dict[str, JobSpec] = {}
        for spec in specs:
            if spec.kind in self._specs:
                raise ValueError(f"two job specs have the kind {spec.kind!r}")
            self._specs[spec.kind] = spec

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self._specs)

    def find(self, kind: str) -> JobSpec | None:
        """Return the spec, or None for a kind that only another version of the service knows."""
        return self._specs.get(kind)
