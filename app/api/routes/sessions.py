"""Sessions of the signed-in user, sign-out, and password reset, for accounts that the service itself stores."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import Depends, Request

from app.api.auditing import AuditedRoute, set_audited
from app.api.dependencies import AuthenticatedRoute, ClientAddress, CurrentUser, ServicesDep, require_genuine_app
from app.api.errors import TOKEN_ERRORS, problems
from app.api.router import ApiRouter
from app.api.schemas.accounts import PasswordResetBody, PasswordResetConfirmation, SessionList, SessionView
from app.api.schemas.fields import Id
from app.domain.errors import (
    AccountDisabled,
    AccountsExternal,
    JsonInvalid,
    PasswordResetInvalid,
    PasswordResetUnavailable,
    PasswordWeak,
    SessionMissing,
    TooManyAttempts,
)
from app.ports.auth import AccountSettings, PasswordResets

public_router = ApiRouter(
    prefix="/auth", tags=["accounts"], route_class=AuditedRoute, dependencies=[Depends(require_genuine_app)]
)
router = ApiRouter(prefix="/auth", tags=["accounts"], route_class=AuthenticatedRoute)

_log = structlog.stdlib.get_logger(__name__)


async def _settings(services: ServicesDep) -> AccountSettings:
    if services.account_settings is None:
        raise AccountsExternal
    return services.account_settings


async def _password_resets(services: ServicesDep) -> PasswordResets:
    if services.password_resets is None:
        raise AccountsExternal
    return services.password_resets


SettingsDep = Annotated[AccountSettings, Depends(_settings)]
PasswordResetsDep = Annotated[PasswordResets, Depends(_password_resets)]


@router.post("/logout", status_code=204, responses=problems(*TOKEN_ERRORS, AccountsExternal))
async def sign_out(request: Request, user: CurrentUser, settings: SettingsDep, services: ServicesDep) -> None:
    """End this session: its refresh token is invalid at once, and its access token within ten seconds."""
    if user.session_id:
        await settings.end_session(user, user.session_id)
        set_audited(request, targets=[user.session_id])
    services.authentication.forget(user.id)
    _log.info("session.ended", user_id=user.id)


@router.get("/sessions", responses=problems(*TOKEN_ERRORS, AccountsExternal))
async def list_sessions(user: CurrentUser, settings: SettingsDep) -> SessionList:
    """List the devices on which the user is signed in."""
    sessions = await settings.sessions(user)
    return SessionList(sessions=[SessionView.of(session, current_id=user.session_id) for session in sessions])


@router.delete("/sessions", status_code=204, responses=problems(*TOKEN_ERRORS, AccountsExternal))
async def end_other_sessions(user: CurrentUser, settings: SettingsDep, services: ServicesDep) -> None:
    """End all sessions of the user except this one."""
    await settings.end_other_sessions(user)
    services.authentication.forget(user.id)


@router.delete(
    "/sessions/{session_id}", status_code=204, responses=problems(*TOKEN_ERRORS, SessionMissing, AccountsExternal)
)
async def end_session(user: CurrentUser, session_id: Id, settings: SettingsDep, services: ServicesDep) -> None:
    """End one session of the user."""
    await settings.end_session(user, session_id)
    services.authentication.forget(user.id)


@public_router.post(
    "/password-reset",
    status_code=202,
    responses=problems(JsonInvalid, PasswordResetUnavailable, AccountsExternal, TooManyAttempts),
)
async def request_password_reset(body: PasswordResetBody, resets: PasswordResetsDep, client: ClientAddress) -> None:
    """Send a link to choose a new password to the address, if it has an account. The response is always the same."""
    await resets.request(body.email, client=client)


@public_router.post(
    "/password-reset/confirm",
    status_code=204,
    responses=problems(JsonInvalid, PasswordResetInvalid, PasswordWeak, AccountDisabled, AccountsExternal),
)
async def confirm_password_reset(
    request: Request, body: PasswordResetConfirmation, resets: PasswordResetsDep, services: ServicesDep
) -> None:
    """Choose a new password with the token of a link. All sessions of the account end."""
    user = await resets.confirm(body.token, new_password=body.password)
    services.authentication.forget(user.id)
    set_audited(request, user=user)
    _log.info("account.password_reset", user_id=user.id)
