"""Background jobs: have a product's image fetched, and see how far any job is."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api.deps import AppServices, AuthenticatedRoute, CurrentUser, IdempotencyKey
from app.api.errors import IDEMPOTENCY_ERRORS, TOKEN_ERRORS, problems
from app.api.events import AllWatchers, LastEventId, events, place
from app.api.schemas import FetchImageBody, JobPageView, JobView
from app.core.ean import normalise
from app.core.errors import CursorInvalid, EanInvalid, JobMissing, JsonInvalid, TooManyAttempts
from app.core.jobs import Job, JobStatus
from app.core.models import User
from app.services import Services
from app.usecases.watching import watch

router = APIRouter(tags=["background jobs"], route_class=AuthenticatedRoute)


@router.post(
    "/fetch-image",
    status_code=202,
    responses=problems(*TOKEN_ERRORS, *IDEMPOTENCY_ERRORS, JsonInvalid, EanInvalid, TooManyAttempts),
)
async def fetch_image(
    request: Request, body: FetchImageBody, user: CurrentUser, services: AppServices, key: IdempotencyKey
) -> JobView:
    """Have the image of a product fetched by its EAN, in the background; the answer is the job that does it."""
    ean = normalise(body.ean_code)
    fetch = partial(services.ean_imports.request, user, ean, description=body.description or None)
    if key is None:
        job = await fetch()
    else:
        job = await services.once.run(
            user.id,
            f"key {key}",
            fingerprint=f"fetch {hashlib.sha256(body.model_dump_json().encode()).hexdigest()}",
            find=partial(services.jobs.find, user),
            make=lambda claim: fetch(claim=claim),
        )
    return await view(request, services, job)


@router.get("/jobs", responses=problems(*TOKEN_ERRORS, CursorInvalid))
async def list_jobs(
    request: Request,
    user: CurrentUser,
    services: AppServices,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    status: JobStatus | None = None,
) -> JobPageView:
    """Your jobs, newest first. A job that has ended is listed for 30 days."""
    page = await services.jobs.page(user, cursor=cursor, limit=limit, status=status)
    return JobPageView(
        items=[await view(request, services, job) for job in page.items],
        next_cursor=page.next_cursor,
    )


@router.get("/jobs/{job_id}", responses=problems(*TOKEN_ERRORS, JobMissing))
async def read_job(
    request: Request,
    job_id: str,
    user: CurrentUser,
    services: AppServices,
    watchers: AllWatchers,
    wait: Annotated[int, Query(ge=0, le=20, description="Seconds to wait for the job to end.")] = 0,
) -> JobView:
    """How far one of your jobs is; with `wait` the answer comes when it has ended, or when that time is over."""
    job = await services.jobs.get(user, job_id)
    if wait and not job.is_finished:
        with watchers.place(user.id):
            read = partial(services.jobs.get, user, job_id)
            async for now in watch(read, is_over=lambda one: one.is_finished or watchers.stopping, seconds=wait):
                job = now
    return await view(request, services, job)


async def found_job(job_id: str, user: CurrentUser, services: AppServices) -> Job:
    return await services.jobs.get(user, job_id)


@router.get(
    "/jobs/{job_id}/events",
    response_class=EventSourceResponse,
    dependencies=[Depends(place)],
    responses=problems(*TOKEN_ERRORS, JobMissing),
)
async def watch_job(
    request: Request,
    job: Annotated[Job, Depends(found_job)],
    user: CurrentUser,
    services: AppServices,
    watchers: AllWatchers,
    last_event_id: LastEventId = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events, one named `job` for each change, until the job has ended.

    A stream may end before that: ask again with `Last-Event-ID`, and what you have seen is not sent again.
    """
    async for event in events(
        watchers,
        "job",
        read=partial(_read, request, services, user, job.id),
        is_over=lambda seen: seen.finished_at is not None,
        last_event_id=last_event_id,
    ):
        yield event


async def _read(request: Request, services: Services, user: User, job_id: str) -> JobView:
    return await view(request, services, await services.jobs.get(user, job_id))


async def view(request: Request, services: Services, job: Job) -> JobView:
    return JobView.of(job, export=await services.exports.url(job), base_url=str(request.base_url))
