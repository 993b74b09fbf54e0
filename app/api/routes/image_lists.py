"""Lists of images."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from app.api.dependencies import CurrentUser, ServicesDep, UserOrServerRoute, known_query
from app.api.errors import TOKEN_ERRORS, problems
from app.api.router import ApiRouter
from app.api.schemas.images import ImagePageView
from app.api.views import image_view
from app.domain.errors import CursorInvalid

router = ApiRouter(prefix="/images", tags=["images"], route_class=UserOrServerRoute)


@router.get("", responses=problems(*TOKEN_ERRORS, CursorInvalid), dependencies=[Depends(known_query)])
async def list_images(
    request: Request,
    user: CurrentUser,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the previous page.")] = None,
) -> ImagePageView:
    """List your images, newest first."""
    page = await services.library.page(user, cursor=cursor, limit=limit)
    items = [await image_view(request, services, image) for image in page.items]
    return ImagePageView(items=items, next_cursor=page.next_cursor)
