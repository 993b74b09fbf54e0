"""Accounts: register, sign in, refresh tokens, show, change, export and delete the account."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

import structlog
from fastapi import Depends, Form, Request
from pydantic import ValidationError

from app.api.auditing import AuditedRoute, set_audited
from app.api.dependencies import (
    AccessToken,
    AuthenticatedRoute,
    ClientAddress,
    CurrentUser,
    ServicesDep,
    UserAgent,
    require_genuine_app,
)
from app.api.errors import TOKEN_ERRORS, problems
from app.api.router import ApiRouter
from app.api.schemas.accounts import (
    AccountChanges,
    DeletionBody,
    MeView,
    RefreshBody,
    RegisterBody,
    RegisteredView,
    TokenForm,
    TokenView,
)
from app.api.schemas.jobs import JobView
from app.api.services import Services
from app.api.views import job_view
from app.domain.accounts import Tokens, User
from app.domain.addresses import is_loopback
from app.domain.errors import (
    AccountDisabled,
    AccountsExternal,
    AppError,
    CredentialsInvalid,
    EmailInvalid,
    EmailTaken,
    FieldError,
    InvitationInvalid,
    InvitationRequired,
    JsonInvalid,
    OwnerClosed,
    PasswordIncorrect,
    PasswordWeak,
    RefreshTokenInvalid,
    RegistrationClosed,
    RequestInvalid,
    SignInAgain,
    TooManyAttempts,
)

_FORWARDING_HEADERS = {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "cf-connecting-ip"}

_log = structlog.stdlib.get_logger(__name__)

public_router = ApiRouter(
    prefix="/auth", tags=["accounts"], route_class=AuditedRoute, dependencies=[Depends(require_genuine_app)]
)
router = ApiRouter(prefix="/auth", tags=["accounts"], route_class=AuthenticatedRoute)

_REFRESH_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {"schema": {"$ref": "#/components/schemas/RefreshBody"}}
            for media_type in ("application/json", "application/x-www-form-urlencoded")
        },
    }
}


@public_router.post(
    "/register",
    status_code=201,
    responses=problems(
        JsonInvalid,
        EmailTaken,
        EmailInvalid,
        PasswordWeak,
        RegistrationClosed,
        InvitationRequired,
        InvitationInvalid,
        TooManyAttempts,
    ),
)
async def register(
    request: Request, body: RegisterBody, services: ServicesDep, client: ClientAddress, user_agent: UserAgent = None
) -> RegisteredView:
    """Create an account and sign in."""
    if services.registration_is_local:
        _require_this_machine(request)
    profile, tokens = await services.accounts.register(
        email=body.email,
        password=body.password,
        display_name=body.display_name,
        client=client,
        user_agent=user_agent,
        invitation=body.invitation,
    )
    await services.authentication.index(profile.id)
    set_audited(request, user=User(profile.id))
    return RegisteredView.of_new(profile, tokens)


def _require_this_machine(request: Request) -> None:
    """Raise RegistrationClosed unless the request was sent on this machine and passed no proxy."""
    server, client = request.scope.get("server"), request.client
    forwarded = not _FORWARDING_HEADERS.isdisjoint(request.headers.keys())
    if forwarded or not (server and client and is_loopback(server[0]) and is_loopback(client.host)):
        _log.warning("registration.refused", setting="REGISTRATION")
        raise RegistrationClosed(
            "Others can reach this service, so that registration is closed until its operator sets REGISTRATION."
        )


@public_router.post("/token", responses=problems(CredentialsInvalid, AccountDisabled, TooManyAttempts))
async def sign_in(
    request: Request,
    form: Annotated[TokenForm, Form()],
    services: ServicesDep,
    client: ClientAddress,
    user_agent: UserAgent = None,
) -> TokenView:
    """Exchange an email address and a password for an access token and a refresh token."""
    tokens = await services.accounts.sign_in(
        email=form.username, password=form.password, client=client, user_agent=user_agent
    )
    user = await _require_open(services, tokens, refusal=CredentialsInvalid)
    set_audited(request, user=user, targets=[user.session_id or ""])
    return TokenView.of(tokens)


@public_router.post(
    "/refresh",
    openapi_extra=_REFRESH_BODY,
    responses=problems(JsonInvalid, RefreshTokenInvalid, AccountDisabled),
)
async def refresh_tokens(request: Request, services: ServicesDep) -> TokenView:
    """Exchange a refresh token, sent as a form or as JSON, for new tokens.

    A refresh token is valid once. A client that lost the response may send it again within a minute, and receives the
    same new refresh token. Using it again later ends the session, because it may have been stolen.
    """
    tokens = await services.accounts.refresh(await _refresh_token(request))
    await _require_open(services, tokens, refusal=RefreshTokenInvalid)
    return TokenView.of(tokens)


async def _require_open(services: Services, tokens: Tokens, *, refusal: type[AppError]) -> User:
    """Return the user of the tokens, unless the account is being deleted: it may still exist for a while."""
    user = await services.accounts.authenticate(tokens.access_token)
    try:
        await services.authentication.require_open(user.id)
    except OwnerClosed:
        raise refusal from None
    return user


async def _refresh_token(request: Request) -> str:
    body = await request.body()
    is_json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    try:
        if is_json:
            return RefreshBody.model_validate_json(body).refresh_token
        return RefreshBody.model_validate(dict(parse_qsl(body.decode("ascii", "replace")))).refresh_token
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise JsonInvalid from None
        raise RequestInvalid(errors=[FieldError("body.refresh_token", "Field required")]) from None


@router.get("/me", responses=problems(*TOKEN_ERRORS))
async def get_account(user: CurrentUser, token: AccessToken, services: ServicesDep) -> MeView:
    """Show the account of the token, and how much of its quota is used."""
    profile = await services.accounts.profile(token)
    usage = await services.library.usage(user)
    return MeView.of(profile, usage, services.library.quota)


@router.patch(
    "/me",
    responses=problems(*TOKEN_ERRORS, JsonInvalid, PasswordIncorrect, PasswordWeak, AccountsExternal, TooManyAttempts),
)
async def change_account(user: CurrentUser, token: AccessToken, body: AccountChanges, services: ServicesDep) -> MeView:
    """Change the display name, the password, or both. A new password ends all other sessions."""
    settings = services.account_settings
    if settings is None:
        raise AccountsExternal
    if body.password is not None and body.current_password is not None:
        await settings.change_password(user, current_password=body.current_password, new_password=body.password)
        services.authentication.forget(user.id)
    if "display_name" in body.model_fields_set:
        await settings.change_display_name(user, body.display_name)
    return await get_account(user, token, services)


@router.delete(
    "/me",
    status_code=202,
    responses=problems(*TOKEN_ERRORS, JsonInvalid, SignInAgain, PasswordIncorrect, TooManyAttempts),
)
async def delete_account(
    request: Request, user: CurrentUser, token: AccessToken, services: ServicesDep, body: DeletionBody | None = None
) -> JobView:
    """Delete the account. Its tokens are refused from now on, while a job deletes all of its data.

    Requires a sign-in within the last five minutes, or the password.
    """
    password = body.password if body else None
    job = await services.account_deletion.request(user, token, password=password)
    return await job_view(request, services, job)


@router.post("/me/export", status_code=202, responses=problems(*TOKEN_ERRORS, TooManyAttempts))
async def export_account(request: Request, user: CurrentUser, services: ServicesDep) -> JobView:
    """Export all your images and their metadata as a ZIP file, in the background.

    Returns the job that does it, or the one that is already in progress. When it is completed, its result contains the
    URL of the file. The file is kept for a week, or until the next export.
    """
    return await job_view(request, services, await services.exports.request(user))
