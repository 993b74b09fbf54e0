"""What Prometheus collects."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter
from fastapi.responses import Response

from app.api.deps import AppServices
from app.core.errors import AppError

router = APIRouter(tags=["operations"])

_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def read_metrics(services: AppServices) -> Response:
    """Counters, durations, and how much waits in the queue; without the queue's part while it does not answer."""
    depth = age = None
    with contextlib.suppress(AppError):
        depth, oldest = await services.jobs.backlog()
        age = max(0.0, (services.jobs.clock() - oldest).total_seconds()) if oldest else 0.0
    return Response(services.metrics.exposition(queue_depth=depth, queue_age_seconds=age), media_type=_MEDIA_TYPE)
