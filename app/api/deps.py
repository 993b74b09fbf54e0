"""What routes ask for: the services, and the user whose token came with the request."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import structlog
from fastapi import Depends, Header, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import OAuth2PasswordBearer

from app.api.upload_form import UploadForm
from app.core.errors import IdempotencyKeyInvalid, TokenMissing
from app.core.models import User
from app.services import Services

_bearer = OAuth2PasswordBearer(
    tokenUrl="api/v1/auth/token",
    auto_error=False,
    description="An access token of `POST /auth/token`, or a Firebase ID token where `AUTH=firebase`.",
)

_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}")


async def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


async def upload_form(request: Request) -> UploadForm:
    form: UploadForm = request.app.state.upload_form
    return form


class AuthenticatedRoute(APIRoute):
    """Decides the token before anything of the body is read, which FastAPI does before it asks a dependency."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_authenticated(request: Request) -> Response:
            token = await _bearer(request)
            if not token:
                raise TokenMissing
            found = await services(request)
            user = await found.accounts.authenticate(token)
            await found.leaving.require_open(user)
            structlog.contextvars.bind_contextvars(user_id=user.id)
            request.state.access_token, request.state.user = token, user
            return await handle(request)

        return handle_authenticated


async def access_token(request: Request, _: Annotated[str | None, Depends(_bearer)]) -> str:
    """The token of an AuthenticatedRoute's request; the dependency shows in OpenAPI that it needs one."""
    token: str = request.state.access_token
    return token


async def current_user(request: Request, _: Annotated[str, Depends(access_token)]) -> User:
    user: User = request.state.user
    return user


async def client_address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


async def idempotency_key(
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Your own name for this request: sent again within 24 hours it gets the same result.",
        ),
    ] = None,
) -> str | None:
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise IdempotencyKeyInvalid
    return key


AppServices = Annotated[Services, Depends(services)]
CurrentUser = Annotated[User, Depends(current_user)]
AccessToken = Annotated[str, Depends(access_token)]
IdempotencyKey = Annotated[str | None, Depends(idempotency_key)]
ClientAddress = Annotated[str, Depends(client_address)]
Form = Annotated[UploadForm, Depends(upload_form)]
