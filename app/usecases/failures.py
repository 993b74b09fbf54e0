"""What a failed attempt means for its job: whether and when it is tried again, and what its user is told."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from app.core.errors import (
    AppError,
    CatalogUnavailable,
    DependencyUnavailable,
    ImageMissing,
    ImageRejected,
    Internal,
    ProductImageMissing,
    ProductUnknown,
    QuotaExceeded,
    TokenInvalid,
)
from app.core.jobs import Job, JobError, JobKind, JobStatus

MAX_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 5
_LONGEST_PAUSE_SECONDS = 600
_OUTAGE_PAUSE_SECONDS = 20
_GIVEN_UP_AFTER = timedelta(days=1)
_SERVER_ERROR = 500
_ANSWERS = {
    e.code for e in (ImageMissing, ImageRejected, ProductImageMissing, ProductUnknown, QuotaExceeded, TokenInvalid)
}
"""What a job's failure tells its user, and no operator need look into."""


def is_passing(error: AppError) -> bool:
    return error.status >= _SERVER_ERROR


def is_of_the_job(error: AppError) -> bool:
    """Whether a passing error may be the job's own doing, rather than that of what every job depends on."""
    return isinstance(error, Internal) or (isinstance(error, CatalogUnavailable) and error.attempted)


def is_hopeless(job: Job, error: AppError, *, now: datetime) -> bool:
    if job.kind is JobKind.LEAVE:
        return False  # nobody is left who could ask for it once more
    if is_of_the_job(error):
        return job.attempts >= MAX_ATTEMPTS
    # A job may be that old because nobody was there to begin it: its first failure is not its last.
    return job.error is not None and now - job.created_at > _GIVEN_UP_AFTER


def told(error: AppError) -> JobError:
    """In words for whoever looks at the job: theirs to wait, not to try again."""
    if isinstance(error, Internal):
        return JobError(error.code, "Something went wrong on our side.")
    if isinstance(error, DependencyUnavailable):
        return JobError(error.code, f"Something this service depends on ({error.dependency}) is not answering.")
    return JobError(error.code, error.detail)


def pause_of_the_job(job: Job, error: AppError) -> int:
    """Return seconds; each time three times as long."""
    return _pause(min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 3 ** (job.attempts - 1)), error)


def outage_pause(error: AppError) -> int:
    """Return seconds."""
    return _pause(_OUTAGE_PAUSE_SECONDS, error)


def wants_attention(job: Job) -> bool:
    """Whether a failure is one that an operator should look into, rather than an answer to its user."""
    return job.status is JobStatus.FAILED and (job.error is None or job.error.code not in _ANSWERS)


def _pause(longest: float, error: AppError) -> int:
    """Return seconds, not less than was asked for; at random, so that those who failed together come again apart."""
    return max(error.retry_after or 0, round(random.uniform(0.3, 1) * longest))  # noqa: S311 - no secret
