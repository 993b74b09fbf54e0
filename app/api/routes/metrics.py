"""Metrics for Prometheus."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter
from fastapi.responses import Response

from app.api.dependencies import ServicesDep
from app.api.openapi import operation_id
from app.domain.errors import AppError

router = APIRouter(tags=["operations"], generate_unique_id_function=operation_id)

_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_metrics(services: ServicesDep) -> Response:
    """Return counters, durations and the size of the queue; without the latter if the queue does not respond."""
    depth = age = None
    with contextlib.suppress(AppError):
        depth = (await services.jobs.backlog()).depth
        age = await services.jobs.backlog_age_seconds()
    return Response(services.metrics.exposition(queue_depth=depth, queue_age_seconds=age), media_type=_MEDIA_TYPE)
