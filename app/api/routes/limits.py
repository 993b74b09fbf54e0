"""The limits of this deployment, so that clients need no copy of its settings."""

from __future__ import annotations

from fastapi import Request, Response

from app.api.errors import problems
from app.api.router import ApiRouter
from app.api.schemas.limits import LimitsView

router = ApiRouter(tags=["images"])


@router.get("/limits", responses=problems())
async def get_limits(request: Request, response: Response) -> LimitsView:
    """Show what may be uploaded, and which kind of upload suits which file. Needs no token, and may be cached."""
    # Clients and proxies notice a change of the settings after a few minutes.
    response.headers["Cache-Control"] = "public, max-age=300"
    limits: LimitsView = request.app.state.limits
    return limits
