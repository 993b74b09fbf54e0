"""Shares: create, list, show, change, revoke."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urljoin

from fastapi import Depends, Query, Request

from app.api.auditing import set_audited
from app.api.dependencies import CurrentUser, ServicesDep, UserOrServerRoute, known_query
from app.api.errors import TOKEN_ERRORS, problems
from app.api.router import ApiRouter
from app.api.schemas.fields import Id
from app.api.schemas.shares import ShareBody, ShareChanges, SharePageView, ShareView
from app.api.services import Services
from app.domain.errors import CursorInvalid, ImagePending, JsonInvalid, Overloaded, ShareMissing, TooManyAttempts
from app.domain.shares import Share

router = ApiRouter(prefix="/shares", tags=["shares"], route_class=UserOrServerRoute)


@router.post(
    "", status_code=201, responses=problems(*TOKEN_ERRORS, JsonInvalid, ImagePending, TooManyAttempts, Overloaded)
)
async def create_share(request: Request, body: ShareBody, user: CurrentUser, services: ServicesDep) -> ShareView:
    """Make a link that shows images to anyone who has it, until it expires or is revoked."""
    share = await services.shares.create(
        user,
        image_ids=body.image_ids,
        title=body.title_or_none(),
        expires_at=body.expires_at,
        password=body.password,
        download=body.download,
    )
    set_audited(request, targets=[share.id])
    return _view(request, services, share)


@router.get("", dependencies=[Depends(known_query)], responses=problems(*TOKEN_ERRORS, CursorInvalid))
async def list_shares(
    request: Request,
    user: CurrentUser,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(description="The `next_cursor` of the previous page.")] = None,
) -> SharePageView:
    """List the shares of the user, newest first. Expired ones are listed until they are revoked."""
    shares, next_cursor = await services.shares.page(user, cursor=cursor, limit=limit)
    return SharePageView(items=[_view(request, services, share) for share in shares], next_cursor=next_cursor)


@router.get("/{share_id}", responses=problems(*TOKEN_ERRORS, ShareMissing))
async def get_share(request: Request, share_id: Id, user: CurrentUser, services: ServicesDep) -> ShareView:
    """Show a share."""
    return _view(request, services, await services.shares.get(user, share_id))


@router.patch(
    "/{share_id}",
    responses=problems(*TOKEN_ERRORS, JsonInvalid, ShareMissing, ImagePending, Overloaded),
)
async def change_share(
    request: Request, share_id: Id, body: ShareChanges, user: CurrentUser, services: ServicesDep
) -> ShareView:
    """Change a share. Its link stays the same."""
    return _view(request, services, await services.shares.edit(user, share_id, changes=body.changes()))


@router.delete("/{share_id}", status_code=204, responses=problems(*TOKEN_ERRORS, ShareMissing))
async def revoke_share(share_id: Id, user: CurrentUser, services: ServicesDep) -> None:
    """Revoke a link. From the next request on, it shows nothing."""
    await services.shares.revoke(user, share_id)


def _view(request: Request, services: Services, share: Share) -> ShareView:
    return ShareView.of(share, url=urljoin(str(request.base_url), f"s/{services.shares.token(share)}"))
