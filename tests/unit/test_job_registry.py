"""Tests of the registry of job kinds."""

from __future__ import annotations

import pytest

from app.domain.jobs import Job, JobError
from app.jobs.attempt import Attempt
from app.jobs.registry import JobRegistry, JobResult, JobSpec


class Handler:
    async def run(self, attempt: Attempt) -> None:
        pass

    async def give_up(self, job: Job, error: JobError) -> None:
        pass


async def no_result(job: Job) -> JobResult:
    return JobResult()


def make_spec(kind: str) -> JobSpec:
    return JobSpec(kind, f"Doing {kind}", Handler(), no_result)


def test_a_spec_is_found_by_its_kind():
    fetch, render = make_spec("fetch"), make_spec("render")
    registry = JobRegistry([fetch, render])
    assert (registry.find("fetch"), registry.find("render")) == (fetch, render)
    assert registry.kinds == ("fetch", "render")


def test_an_unknown_kind_has_no_spec():
    assert JobRegistry([make_spec("fetch")]).find("a_kind_of_a_later_version") is None


def test_two_specs_of_one_kind_are_refused():
    with pytest.raises(ValueError, match="'fetch'"):
        JobRegistry([make_spec("fetch"), make_spec("render"), make_spec("fetch")])
