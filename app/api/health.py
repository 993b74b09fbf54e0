"""Whether the process is alive, and whether what it depends on answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from fastapi import APIRouter

from app.api.deps import AppServices
from app.api.errors import problems
from app.api.schemas import HealthView
from app.core.errors import NotReady

router = APIRouter(prefix="/health", tags=["operations"])

_CHECK_SECONDS = 3

_log = structlog.stdlib.get_logger(__name__)


@router.head("/live", include_in_schema=False)
@router.get("/live")
async def live() -> HealthView:
    """The process answers."""
    return HealthView()


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses=problems(NotReady))
async def ready(services: AppServices) -> HealthView:
    """Everything that the service depends on answers; otherwise 503 says what does not."""
    names = list(services.health_checks)
    answers = await asyncio.gather(*(_answers(name, services.health_checks[name]) for name in names))
    down = [name for name, answered in zip(names, answers, strict=True) if not answered]
    if down:
        raise NotReady(f"Not answering: {', '.join(down)}.", retry_after=5)
    return HealthView()


async def _answers(name: str, check: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the dependency cannot be used
        _log.warning("dependency.not_ready", dependency=name, cause=repr(error))
        return False
    return True
