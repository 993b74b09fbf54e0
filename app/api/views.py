"""Builds the views of images and jobs that several routes return, with signed URLs."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from app.api.schemas.images import ImageView
from app.api.schemas.jobs import JobView
from app.api.services import Services
from app.domain.images import Image
from app.domain.jobs import Job, JobStatus
from app.jobs.registry import JobResult


async def image_views(request: Request, services: Services, images: Sequence[Image]) -> list[ImageView]:
    base_url = str(request.base_url)
    return [ImageView.of(await services.url_signer.sign(image), base_url=base_url) for image in images]


async def image_view(request: Request, services: Services, image: Image) -> ImageView:
    return ImageView.of(await services.url_signer.sign(image), base_url=str(request.base_url))


async def job_view(request: Request, services: Services, job: Job) -> JobView:
    """Return the view of any job, including jobs of a kind that only another version of the service knows."""
    spec = services.job_registry.find(job.kind)
    label = spec.label if spec else "Background job"
    result = None
    if job.status is JobStatus.COMPLETED:
        result = await spec.result(job) if spec else JobResult(image_id=job.image_id)
    return JobView.of(job, label=label, result=result, base_url=str(request.base_url))
