"""Tests of what a failed attempt means for its job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.errors import (
    AppError,
    CatalogUnavailable,
    DependencyUnavailable,
    ImageCorrupt,
    ImageRejected,
    ImageTooExpensive,
    Internal,
    Overloaded,
    ProductUnknown,
    QuotaExceeded,
    WebhookUndelivered,
)
from app.domain.jobs import Job, JobError, JobStatus
from app.jobs import retry_policy
from app.jobs.retry_policy import MAX_ATTEMPTS
from tests.unit.clock import NOON

JOB = Job("id", "ada", "fetch", NOON, NOON, NOON, status=JobStatus.RUNNING, attempts=1)
OUTAGE = DependencyUnavailable("store")


@pytest.mark.parametrize("error", [CatalogUnavailable(), OUTAGE, Overloaded(), Internal()], ids=type)
def test_errors_of_the_service_and_its_dependencies_are_transient(error: AppError):
    assert retry_policy.is_transient(error)


@pytest.mark.parametrize("error", [ProductUnknown(), ImageRejected(), ImageCorrupt()], ids=type)
def test_errors_of_the_request_are_permanent(error: AppError):
    assert not retry_policy.is_transient(error)


@pytest.mark.parametrize("error", [Internal(), CatalogUnavailable()], ids=type)
def test_an_error_that_the_job_may_cause_ends_it_after_its_last_attempt(error: AppError):
    last_attempt = replace(JOB, attempts=MAX_ATTEMPTS)
    assert not retry_policy.retries_exhausted(
        replace(JOB, attempts=MAX_ATTEMPTS - 1), error, now=NOON, retries_forever=False
    )
    assert retry_policy.retries_exhausted(last_attempt, error, now=NOON, retries_forever=False)
    assert not retry_policy.retries_exhausted(last_attempt, error, now=NOON, retries_forever=True)


@pytest.mark.parametrize("error", [OUTAGE, Overloaded(), CatalogUnavailable(attempted=False)], ids=type)
def test_an_outage_ends_a_job_after_a_day_but_not_at_its_first_error(error: AppError):
    old, failed = NOON + timedelta(days=1, seconds=1), replace(JOB, error=JobError("internal", ""), attempts=99)
    assert not retry_policy.retries_exhausted(failed, error, now=NOON + timedelta(days=1), retries_forever=False)
    assert retry_policy.retries_exhausted(failed, error, now=old, retries_forever=False)
    assert not retry_policy.retries_exhausted(failed, error, now=old, retries_forever=True)
    assert not retry_policy.retries_exhausted(replace(failed, error=None), error, now=old, retries_forever=False)


def test_the_delay_triples_with_each_attempt_up_to_ten_minutes():
    for attempts, longest in ((1, 5), (2, 15), (3, 45), (4, 135), (5, 405), (6, 600), (50, 600)):
        delays = {retry_policy.job_backoff_seconds(replace(JOB, attempts=attempts), Internal()) for _ in range(200)}
        assert round(0.3 * longest) <= min(delays) < max(delays) <= longest


def test_a_longer_delay_that_a_dependency_requests_is_honored():
    assert retry_policy.job_backoff_seconds(JOB, CatalogUnavailable(retry_after=900)) == 900
    assert retry_policy.outage_backoff_seconds(DependencyUnavailable("table", retry_after=300)) == 300
    assert 6 <= retry_policy.outage_backoff_seconds(DependencyUnavailable("table", retry_after=1)) <= 20


def test_the_user_facing_error_has_the_code_and_no_internal_details():
    assert retry_policy.to_job_error(ProductUnknown("No such product.")) == JobError(
        "product_unknown", "No such product."
    )
    assert "secret" not in retry_policy.to_job_error(Internal("a secret")).detail
    error = retry_policy.to_job_error(OUTAGE)
    assert error.code == "dependency_unavailable"
    assert "(store)" in error.detail
    assert "again" not in error.detail.lower()


@pytest.mark.parametrize("error", [ProductUnknown(), ImageRejected(), QuotaExceeded()], ids=type)
def test_a_failure_that_only_concerns_the_user_needs_no_operator(error: AppError):
    assert not retry_policy.needs_operator(failed_with(error))


@pytest.mark.parametrize("error", [Internal(), OUTAGE, ImageTooExpensive()], ids=type)
def test_another_failure_needs_an_operator(error: AppError):
    assert retry_policy.needs_operator(failed_with(error))
    assert not retry_policy.needs_operator(replace(failed_with(error), status=JobStatus.RETRYING))


def failed_with(error: AppError) -> Job:
    return replace(JOB, status=JobStatus.FAILED, error=retry_policy.to_job_error(error))


def test_a_delivery_ends_after_a_day_whatever_the_number_of_its_attempts():
    error = WebhookUndelivered()
    assert retry_policy.is_transient(error)
    assert retry_policy.is_job_fault(error)
    failed = replace(JOB, attempts=MAX_ATTEMPTS + 1, error=JobError(error.code, error.detail))
    day = timedelta(days=1)
    assert not retry_policy.retries_exhausted(failed, error, now=NOON + day, retries_forever=False)
    assert retry_policy.retries_exhausted(failed, error, now=NOON + day * 1.01, retries_forever=False)
    assert not retry_policy.needs_operator(replace(failed, status=JobStatus.FAILED))


def test_the_delay_of_a_delivery_grows_up_to_four_hours():
    delays = [retry_policy.job_backoff_seconds(replace(JOB, attempts=n), WebhookUndelivered()) for n in (1, 20)]
    assert delays[0] <= 5
    assert 600 < delays[1] <= 4 * 3600
