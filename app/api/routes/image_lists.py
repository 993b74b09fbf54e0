"""Lists of images."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from app.api.dependencies import CurrentUser, ServicesDep, UserOrServerRoute, known_query
from app.api.errors import TOKEN_ERRORS, problems
from app.api.image_order import ImagePeriod
from app.api.router import ApiRouter
from app.api.schemas.images import ImagePageView, MonthView, TimelineView
from app.api.views import image_views
from app.domain.errors import CursorInvalid

router = ApiRouter(prefix="/images", tags=["images"], route_class=UserOrServerRoute)


@router.get("", responses=problems(*TOKEN_ERRORS, CursorInvalid), dependencies=[Depends(known_query)])
async def list_images(
    request: Request,
    user: CurrentUser,
    services: ServicesDep,
    period: ImagePeriod,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the previous page. Repeat the other parameters.")
    ] = None,
) -> ImagePageView:
    """List your images, newest first: by the time of their upload, or by the time at which they were taken.

    That is the time on the clock of the camera. An image without it has the time of its upload, in UTC.
    """
    if period is None:
        page = await services.library.page(user, cursor=cursor, limit=limit)
    else:
        page = await services.timeline.page(user, period=period, cursor=cursor, limit=limit)
    return ImagePageView(items=await image_views(request, services, page.items), next_cursor=page.next_cursor)


@router.get("/timeline", responses=problems(*TOKEN_ERRORS))
async def get_timeline(user: CurrentUser, services: ServicesDep) -> TimelineView:
    """Count your images by the month in which they were taken, newest first."""
    months = await services.timeline.months(user)
    return TimelineView(
        months=[MonthView(month=each.month, images=each.images) for each in months],
        images=sum(each.images for each in months),
    )
