"""The admin API: for server keys, which an operator creates with `python -m app keys create`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.auditing import AuditedRoute, set_audited
from app.api.dependencies import ServicesDep, known_query, require_scope
from app.api.errors import problems
from app.api.router import ApiRouter
from app.api.schemas.admin import AuditEntryView, AuditPageView, ManagedUserView, UserDeletionView, UserPageView
from app.domain.accounts import User
from app.domain.administration import Scope
from app.domain.errors import CursorInvalid, ServerKeyInvalid, ServerKeyRefused, TokenMissing, UserMissing

router = ApiRouter(prefix="/admin", tags=["administration"], route_class=AuditedRoute)

_server_key = HTTPBearer(
    scheme_name="server_key", auto_error=False, description="A key from `python -m app keys create`: `isk_…`."
)
KEY_ERRORS = (TokenMissing, ServerKeyInvalid, ServerKeyRefused)
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the previous page.")]


def requires_scope(scope: Scope) -> Callable[..., Coroutine[Any, Any, None]]:
    """Return a dependency that requires a server key with this scope."""

    async def require(
        request: Request,
        services: ServicesDep,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_server_key)],
    ) -> None:
        if credentials is None:
            raise TokenMissing
        key = await services.server_keys.authenticate(credentials.credentials)
        require_scope(key, scope)
        request.state.actor = f"key:{key.id}"

    return require


@router.get(
    "/users",
    responses=problems(*KEY_ERRORS, CursorInvalid),
    dependencies=[Depends(requires_scope(Scope.USERS_READ)), Depends(known_query)],
)
async def list_users(services: ServicesDep, limit: Limit = 50, cursor: Cursor = None) -> UserPageView:
    """List all users, in no particular order. Needs the scope `users:read`."""
    users, next_cursor = await services.user_administration.page(cursor=cursor, limit=limit)
    return UserPageView(items=[ManagedUserView.of(user) for user in users], next_cursor=next_cursor)


@router.get(
    "/users/{user_id}",
    responses=problems(*KEY_ERRORS, UserMissing),
    dependencies=[Depends(requires_scope(Scope.USERS_READ))],
)
async def get_user(user_id: str, services: ServicesDep) -> ManagedUserView:
    """Show a user. Needs the scope `users:read`."""
    return ManagedUserView.of(await services.user_administration.get(user_id))


@router.delete(
    "/users/{user_id}",
    status_code=202,
    responses=problems(*KEY_ERRORS, UserMissing),
    dependencies=[Depends(requires_scope(Scope.USERS_DELETE))],
)
async def delete_user(request: Request, user_id: str, services: ServicesDep) -> UserDeletionView:
    """Delete a user and everything the user owns, in the background. Needs the scope `users:delete`.

    With Firebase, call this when Firebase has deleted the account.
    """
    job = await services.user_administration.delete(user_id)
    set_audited(request, user=User(user_id), targets=[job.id])
    return UserDeletionView(job_id=job.id)


@router.get(
    "/audit",
    responses=problems(*KEY_ERRORS, CursorInvalid),
    dependencies=[Depends(requires_scope(Scope.AUDIT_READ)), Depends(known_query)],
)
async def list_audit_entries(
    services: ServicesDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    user_id: Annotated[str | None, Query(description="Only entries that concern this user.")] = None,
) -> AuditPageView:
    """List who did what, newest first. Needs the scope `audit:read`."""
    entries, next_cursor = await services.audit.page(cursor=cursor, limit=limit, owner_id=user_id)
    items = [AuditEntryView.model_validate(entry) for entry in entries]
    return AuditPageView(items=items, next_cursor=next_cursor)
