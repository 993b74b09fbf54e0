"""What routes ask for: the services, and the user whose token came with the request."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from app.api.multipart import UploadForm
from app.core.errors import TokenMissing
from app.core.models import User
from app.services import Services

_bearer = OAuth2PasswordBearer(
    tokenUrl="api/v1/auth/token",
    auto_error=False,
    description="An access token of `POST /auth/token`, or a Firebase ID token where `AUTH=firebase`.",
)


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def upload_form(request: Request) -> UploadForm:
    form: UploadForm = request.app.state.upload_form
    return form


async def access_token(token: Annotated[str | None, Depends(_bearer)]) -> str:
    if not token:
        raise TokenMissing
    return token


async def current_user(
    token: Annotated[str, Depends(access_token)], services: Annotated[Services, Depends(services)]
) -> User:
    user = await services.accounts.authenticate(token)
    structlog.contextvars.bind_contextvars(user_id=user.id)
    return user


def client_address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


AppServices = Annotated[Services, Depends(services)]
CurrentUser = Annotated[User, Depends(current_user)]
AccessToken = Annotated[str, Depends(access_token)]
ClientAddress = Annotated[str, Depends(client_address)]
Form = Annotated[UploadForm, Depends(upload_form)]
