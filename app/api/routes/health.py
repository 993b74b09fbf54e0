"""Liveness and readiness probes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from fastapi import APIRouter, Request

from app.api.dependencies import ServicesDep
from app.api.errors import problems
from app.api.openapi import operation_id
from app.api.schemas.operations import HealthView, LivenessView
from app.domain.errors import NotReady

router = APIRouter(prefix="/health", tags=["operations"], generate_unique_id_function=operation_id)

_CHECK_SECONDS = 3

_log = structlog.stdlib.get_logger(__name__)


@router.get("/live")
async def get_liveness(request: Request) -> LivenessView:
    """Report that the process responds."""
    if "x-forwarded-for" not in request.headers:
        return LivenessView(proxy_trusted=None)
    # uvicorn replaces the address of the connection by that in a trusted header, with this port.
    return LivenessView(proxy_trusted=request.client is not None and request.client.port == 0)


@router.get("/ready", responses=problems(NotReady))
async def get_readiness(services: ServicesDep) -> HealthView:
    """Report that all dependencies can be used, and that there is space for an upload.

    Otherwise the 503 names the dependencies that cannot be used.
    """
    names = list(services.health_checks)
    results = await asyncio.gather(*(_responds(name, services.health_checks[name]) for name in names))
    down = [name for name, responds in zip(names, results, strict=True) if not responds]
    if down:
        raise NotReady(f"Not usable: {', '.join(down)}.", retry_after=5)
    return HealthView()


async def _responds(name: str, check: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001 - any error means that the dependency cannot be used
        _log.warning("dependency.not_ready", dependency=name, cause=repr(error))
        return False
    return True
