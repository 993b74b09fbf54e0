"""What a failed attempt means for its job: whether and when to retry, and what to tell the user."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from app.domain.errors import (
    AppError,
    CatalogUnavailable,
    DependencyUnavailable,
    ExportTooLarge,
    ImageMissing,
    ImageRejected,
    Internal,
    OwnerClosed,
    ProductImageMissing,
    ProductUnknown,
    QuotaExceeded,
    ScanRejected,
    WebhookDeliveryMissing,
    WebhookDisabled,
    WebhookUndelivered,
)
from app.domain.jobs import Job, JobError, JobStatus

MAX_ATTEMPTS = 5
_FIRST_BACKOFF_SECONDS = 5
_MAX_BACKOFF_SECONDS = 600
_MAX_DELIVERY_BACKOFF_SECONDS = 4 * 3600
_OUTAGE_BACKOFF_SECONDS = 20
_MAX_OUTAGE = timedelta(days=1)
_SERVER_ERROR = 500
_USER_ERRORS = {
    error.code
    for error in (
        ExportTooLarge,
        ImageMissing,
        ImageRejected,
        OwnerClosed,
        ProductImageMissing,
        ProductUnknown,
        QuotaExceeded,
        ScanRejected,
        WebhookDeliveryMissing,
        WebhookDisabled,
        WebhookUndelivered,
    )
}
"""Errors that only the user needs to know about. No operator has to investigate them."""


def is_transient(error: AppError) -> bool:
    return error.status >= _SERVER_ERROR


def is_job_fault(error: AppError) -> bool:
    """Return whether the job itself may cause a transient error, rather than a dependency of all jobs."""
    if isinstance(error, CatalogUnavailable):
        return error.attempted
    return isinstance(error, Internal | WebhookUndelivered)


def retries_exhausted(job: Job, error: AppError, *, now: datetime, retries_forever: bool) -> bool:
    if retries_forever:
        return False
    if is_job_fault(error) and not isinstance(error, WebhookUndelivered):
        return job.attempts >= MAX_ATTEMPTS
    # A job may be old because no worker was running. It is retried after its first failure in any case.
    return job.error is not None and now - job.created_at > _MAX_OUTAGE


def to_job_error(error: AppError) -> JobError:
    """Return the user-facing error. The service itself retries, so the text never asks the user to retry."""
    if isinstance(error, Internal):
        return JobError(error.code, "Something went wrong on our side.")
    if isinstance(error, DependencyUnavailable):
        return JobError(error.code, f"A dependency of the service ({error.dependency}) is not responding.")
    return JobError(error.code, error.detail)


def job_backoff_seconds(job: Job, error: AppError) -> int:
    """Return the delay before the next attempt. It triples with each attempt."""
    longest = _MAX_DELIVERY_BACKOFF_SECONDS if isinstance(error, WebhookUndelivered) else _MAX_BACKOFF_SECONDS
    return _backoff(min(longest, _FIRST_BACKOFF_SECONDS * 3 ** (job.attempts - 1)), error)


def outage_backoff_seconds(error: AppError) -> int:
    return _backoff(_OUTAGE_BACKOFF_SECONDS, error)


def needs_operator(job: Job) -> bool:
    """Return whether the job failed for a reason that an operator should investigate."""
    return job.status is JobStatus.FAILED and (job.error is None or job.error.code not in _USER_ERRORS)


def _backoff(longest: float, error: AppError) -> int:
    """Return a random delay, so that jobs that failed together do not retry together. Honors `retry_after`."""
    return max(error.retry_after or 0, round(random.uniform(0.3, 1) * longest))  # noqa: S311 - no secret
