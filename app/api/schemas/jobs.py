"""Schemas of the job routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints

from app.api.schemas.bodies import JsonBody
from app.api.schemas.fields import EXAMPLE_ID, Description, Id, NextCursor
from app.common.urls import absolute_url
from app.domain.jobs import Job, JobStatus
from app.jobs.registry import JobResult
from app.services.downloads import MAX_IMAGES

_STATUS_TEXTS = {
    JobStatus.QUEUED: "waiting",
    JobStatus.RUNNING: "in progress",
    JobStatus.RETRYING: "the last attempt failed and will be retried",
    JobStatus.COMPLETED: "completed",
    JobStatus.FAILED: "failed",
}


class FetchImageBody(JsonBody):
    ean_code: Annotated[str, StringConstraints(max_length=64)] = Field(
        examples=["3017620422003"], description="GTIN-8, -12, -13 or -14, or UPC-E. Spaces and hyphens are ignored."
    )
    description: Description | None = None


class DownloadBody(JsonBody):
    image_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_IMAGES, examples=[[EXAMPLE_ID]])]


class JobErrorView(BaseModel):
    code: str = Field(examples=["product_unknown"])
    detail: str


class JobResultView(BaseModel):
    image_id: str | None = Field(description="The image that was fetched or rendered.")
    url: str | None = Field(description="For an export or a download: the URL of its ZIP file, which needs no token.")
    note: str | None = Field(
        description="For an export or a download: how many images had to be left out, and why. Usually null."
    )
    expires_at: datetime | None = Field(description="When `url` expires. Read the job again to get a new URL.")

    @classmethod
    def of(cls, result: JobResult, *, base_url: str) -> Self:
        download = result.download
        return cls(
            image_id=result.image_id,
            url=absolute_url(base_url, download.url) if download else None,
            note=result.note,
            expires_at=download.expires_at if download else None,
        )


class JobView(BaseModel):
    job_id: str = Field(examples=[EXAMPLE_ID])
    kind: str = Field(
        description="`fetch` (a product image), `render` (thumbnails), `export`, `download` (selected images) or "
        "`delete_account`. Later versions may add kinds.",
        examples=["fetch"],
    )
    ean_code: str | None = Field(
        description="For a fetch: the code of the product, normalized.", examples=["3017620422003"]
    )
    status: JobStatus
    attempts: int = Field(description="How many attempts were started.")
    progress: int = Field(description="Percent.", ge=0, le=100)
    message: str = Field(description="The status in words.", examples=["Fetching the product image: in progress."])
    error: JobErrorView | None = Field(description="Why the job failed, or why it will be retried.")
    result: JobResultView | None = Field(description="Null until the job is completed.")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job, *, label: str, result: JobResult | None, base_url: str) -> Self:
        """`label` says what the job does; `result` is None unless the job is completed."""
        return cls(
            job_id=job.id,
            kind=job.kind,
            ean_code=job.ean,
            status=job.status,
            attempts=job.attempts,
            progress=job.progress,
            message=_message(job, label),
            error=JobErrorView(code=job.error.code, detail=job.error.detail) if job.error else None,
            result=JobResultView.of(result, base_url=base_url) if result else None,
            created_at=job.created_at,
            updated_at=job.updated_at,
            finished_at=job.updated_at if job.is_finished else None,
        )


class JobPageView(BaseModel):
    items: list[JobView]
    next_cursor: NextCursor


def _message(job: Job, label: str) -> str:
    if job.status is JobStatus.FAILED and job.error:
        return job.error.detail
    return f"{label}: {_STATUS_TEXTS[job.status]}."
