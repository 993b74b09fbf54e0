"""Background jobs: fetch product images, pack selected images, and show the status of all jobs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from app.api.auditing import set_audited
from app.api.dependencies import CurrentUser, IdempotencyKey, ServicesDep, UserOrServerRoute, known_query
from app.api.errors import IDEMPOTENCY_ERRORS, TOKEN_ERRORS, problems
from app.api.events import EventStreamDep, WatchersDep, event_stream_of
from app.api.router import ApiRouter
from app.api.routing import is_head
from app.api.schemas.fields import Id
from app.api.schemas.jobs import DownloadBody, FetchImageBody, JobPageView, JobView
from app.api.services import Services
from app.api.views import job_view
from app.domain.accounts import User
from app.domain.ean import normalize
from app.domain.errors import CursorInvalid, EanInvalid, JobMissing, JsonInvalid, TooManyAttempts
from app.domain.jobs import Job, JobStatus
from app.jobs.polling import poll_changes

router = ApiRouter(tags=["background jobs"], route_class=UserOrServerRoute)


@router.post(
    "/fetch-image",
    status_code=202,
    responses=problems(*TOKEN_ERRORS, *IDEMPOTENCY_ERRORS, JsonInvalid, EanInvalid, TooManyAttempts),
)
async def fetch_image(
    request: Request, body: FetchImageBody, user: CurrentUser, services: ServicesDep, key: IdempotencyKey
) -> JobView:
    """Fetch the image of a product by its EAN, in the background. Returns the job that does it."""
    ean = normalize(body.ean_code)
    fetch = partial(services.product_images.request, user, ean, description=body.description or None)
    job = await _submit_once(services, user, key, fetch, fingerprint=f"fetch {_digest(body)}")
    set_audited(request, targets=[job.id])
    return await job_view(request, services, job)


@router.post(
    "/images/download",
    status_code=202,
    responses=problems(*TOKEN_ERRORS, *IDEMPOTENCY_ERRORS, JsonInvalid, TooManyAttempts),
)
async def download_images(
    request: Request, body: DownloadBody, user: CurrentUser, services: ServicesDep, key: IdempotencyKey
) -> JobView:
    """Pack the originals of up to 500 images into a ZIP file, in the background. Returns the job that does it.

    The `result` of the completed job contains the URL of the file. The file is kept for a week, or until another
    download that you request at least an hour later is completed. At most 100 downloads a day.
    """
    pack = partial(services.downloads.request, user, [image_id.lower() for image_id in body.image_ids])
    job = await _submit_once(services, user, key, pack, fingerprint=f"download {_digest(body)}")
    set_audited(request, targets=[job.id])
    return await job_view(request, services, job)


def _digest(body: BaseModel) -> str:
    return hashlib.sha256(body.model_dump_json().encode()).hexdigest()


async def _submit_once(
    services: Services, user: User, key: str | None, submit: Callable[..., Awaitable[Job]], *, fingerprint: str
) -> Job:
    if key is None:
        return await submit()
    return await services.idempotency.run(
        user.id,
        f"key {key}",
        fingerprint=fingerprint,
        find=partial(services.jobs.find, user),
        create=lambda claim: submit(claim=claim),
    )


@router.get("/jobs", responses=problems(*TOKEN_ERRORS, CursorInvalid), dependencies=[Depends(known_query)])
async def list_jobs(
    request: Request,
    user: CurrentUser,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the previous page.")] = None,
    status: JobStatus | None = None,
) -> JobPageView:
    """List your jobs, newest first. Finished jobs are kept for 30 days.

    With `status`, a page may be short or empty although `next_cursor` leads to more: a request searches 250 jobs.
    """
    page = await services.jobs.page(user, cursor=cursor, limit=limit, status=status)
    return JobPageView(
        items=[await job_view(request, services, job) for job in page.items],
        next_cursor=page.next_cursor,
    )


@router.get("/jobs/{job_id}", responses=problems(*TOKEN_ERRORS, JobMissing))
async def get_job(
    request: Request,
    job_id: Id,
    user: CurrentUser,
    services: ServicesDep,
    watchers: WatchersDep,
    wait: Annotated[int, Query(ge=0, le=20, description="How many seconds to wait for the job to finish.")] = 0,
) -> JobView:
    """Show the status of a job. With `wait`, the response is sent when the job has finished or the time has passed."""
    job = await services.jobs.get(user, job_id)
    if wait and not job.is_finished and not is_head(request):
        with watchers.slot(user.id):
            read = partial(services.jobs.get, user, job_id)
            async for current in poll_changes(
                read, is_final=lambda job: job.is_finished or watchers.stopping, seconds=wait
            ):
                job = current
    return await job_view(request, services, job)


async def _job(job_id: Id, user: CurrentUser, services: ServicesDep) -> Job:
    """A dependency, so that a missing job is reported before the stream starts."""
    return await services.jobs.get(user, job_id)


@router.get(
    "/jobs/{job_id}/events",
    response_class=EventSourceResponse,
    responses=event_stream_of(JobView) | problems(*TOKEN_ERRORS, JobMissing),
)
async def watch_job(
    request: Request,
    job: Annotated[Job, Depends(_job)],
    user: CurrentUser,
    services: ServicesDep,
    stream: EventStreamDep,
) -> AsyncIterator[ServerSentEvent]:
    """Stream server-sent events named `job`, one per change, until the job has finished.

    A stream may end earlier. Reconnect with `Last-Event-ID`, so that the event you already have is not sent again.
    """

    async def read() -> JobView:
        return await job_view(request, services, await services.jobs.get(user, job.id))

    async for event in stream.follow("job", read, is_final=lambda view: view.finished_at is not None):
        yield event
