"""Accounts: sign up, sign in, stay signed in, and who am I."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Form, Request
from pydantic import ValidationError

from app.api.deps import AccessToken, AppServices, AuthenticatedRoute, ClientAddress, CurrentUser
from app.api.errors import TOKEN_ERRORS, problems
from app.api.jobs import view
from app.api.schemas import JobView, MeView, RefreshBody, RegisterBody, RegisteredView, TokenForm, TokenView
from app.core.errors import (
    AccountDisabled,
    AppError,
    CredentialsInvalid,
    EmailInvalid,
    EmailTaken,
    FieldError,
    JsonInvalid,
    PasswordWeak,
    RefreshTokenInvalid,
    RegistrationClosed,
    RequestInvalid,
    SignInAgain,
    TokenInvalid,
    TooManyAttempts,
)
from app.core.models import Tokens
from app.services import Services

router = APIRouter(prefix="/auth", tags=["accounts"])
own_router = APIRouter(prefix="/auth", tags=["accounts"], route_class=AuthenticatedRoute)

_REFRESH_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {"schema": {"$ref": "#/components/schemas/RefreshBody"}}
            for media_type in ("application/json", "application/x-www-form-urlencoded")
        },
    }
}


@router.post(
    "/register",
    status_code=201,
    responses=problems(JsonInvalid, EmailTaken, EmailInvalid, PasswordWeak, RegistrationClosed, TooManyAttempts),
)
async def register(body: RegisterBody, services: AppServices, client: ClientAddress) -> RegisteredView:
    """Make an account and sign in to it."""
    profile, tokens = await services.accounts.register(
        email=body.email, password=body.password, display_name=body.display_name, client=client
    )
    return RegisteredView.of_new(profile, tokens)


@router.post("/token", responses=problems(CredentialsInvalid, AccountDisabled, TooManyAttempts))
async def sign_in(form: Annotated[TokenForm, Form()], services: AppServices, client: ClientAddress) -> TokenView:
    """Exchange e-mail address and password for an access token and a refresh token."""
    tokens = await services.accounts.sign_in(email=form.username, password=form.password, client=client)
    await _require_open(services, tokens, refusal=CredentialsInvalid)
    return TokenView.of(tokens)


@router.post(
    "/refresh",
    openapi_extra=_REFRESH_BODY,
    responses=problems(JsonInvalid, RefreshTokenInvalid, AccountDisabled),
)
async def refresh(request: Request, services: AppServices) -> TokenView:
    """Exchange a refresh token, as a form or as JSON, for new tokens.

    A refresh token is good once: presented again it ends the session, for it may have been stolen.
    """
    tokens = await services.accounts.refresh(await _refresh_token(request))
    await _require_open(services, tokens, refusal=RefreshTokenInvalid)
    return TokenView.of(tokens)


async def _require_open(services: Services, tokens: Tokens, *, refusal: type[AppError]) -> None:
    """An account that is being removed may be there for a while yet: it gets no tokens that would be refused."""
    user = await services.accounts.authenticate(tokens.access_token)
    try:
        await services.leaving.require_open(user)
    except TokenInvalid:
        raise refusal from None


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


@own_router.get("/me", responses=problems(*TOKEN_ERRORS))
async def read_me(user: CurrentUser, token: AccessToken, services: AppServices) -> MeView:
    """The account that the token stands for, and what it uses of its quota."""
    profile = await services.accounts.profile(token)
    usage = await services.library.usage(user)
    return MeView.of(profile, usage, services.library.quota)


@own_router.delete("/me", status_code=202, responses=problems(*TOKEN_ERRORS, SignInAgain))
async def delete_me(request: Request, user: CurrentUser, token: AccessToken, services: AppServices) -> JobView:
    """Close the account: from now on its tokens are refused, while a job removes all that is its owner's."""
    return await view(request, services, await services.leaving.request(user, token))


@own_router.get("/me/export", status_code=202, responses=problems(*TOKEN_ERRORS, TooManyAttempts))
async def export_me(request: Request, user: CurrentUser, services: AppServices) -> JobView:
    """Have all your images and what is known of them packed into a ZIP file.

    The answer is the job that does it, or that is at it already. Once it is completed, its result has the file's
    URL; the file is kept for a week, or until the next one.
    """
    return await view(request, services, await services.exports.request(user))
