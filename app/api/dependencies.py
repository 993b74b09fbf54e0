"""Dependencies of the routes: the services, the authenticated user, and values of request headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import structlog
from fastapi import Depends, Header, Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer, OAuth2PasswordBearer

from app.api.errors import unknown_field_message
from app.api.services import Services
from app.api.upload_form import UploadForm
from app.domain.accounts import User
from app.domain.addresses import throttling_key
from app.domain.errors import FieldError, IdempotencyKeyInvalid, RequestInvalid, TokenMissing

_password = OAuth2PasswordBearer(
    tokenUrl="api/v1/auth/token",
    scheme_name="password",
    auto_error=False,
    description="Signs in with an email address and a password, and sends the access token.",
)
_bearer = HTTPBearer(
    scheme_name="bearer",
    auto_error=False,
    description="An access token from `POST /api/v1/auth/token`, or a Firebase ID token if `AUTH=firebase`.",
)

_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}")


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _upload_form(request: Request) -> UploadForm:
    form: UploadForm = request.app.state.upload_form
    return form


async def require_genuine_app(request: Request, services: Annotated[Services, Depends(_services)]) -> None:
    """Raises AppCheckFailed if the service requires App Check and the request has no valid token."""
    if services.app_check:
        await services.app_check.verify(request.headers.get("x-firebase-appcheck"))


class AuthenticatedRoute(APIRoute):
    """Authenticates before the body is read. FastAPI reads the body before it runs dependencies."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_authenticated(request: Request) -> Response:
            token = await _password(request)
            if not token:
                raise TokenMissing
            services = await _services(request)
            await require_genuine_app(request, services)
            user = await services.authentication.authenticate(token)
            structlog.contextvars.bind_contextvars(user_id=user.id)
            request.state.access_token, request.state.user = token, user
            return await handle(request)

        return handle_authenticated


async def _access_token(
    request: Request, _: Annotated[object, Depends(_password)], __: Annotated[object, Depends(_bearer)]
) -> str:
    """The token of a request to an AuthenticatedRoute. The unused dependencies declare the schemes in OpenAPI."""
    token: str = request.state.access_token
    return token


async def _current_user(request: Request, _: Annotated[str, Depends(_access_token)]) -> User:
    user: User = request.state.user
    return user


async def _client_address(request: Request) -> str:
    """Return what rate limits count by."""
    return throttling_key(request.client.host) if request.client else "unknown"


async def _idempotency_key(
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="A unique name that the client gives this request. A retry with the same key within 24 hours "
            "returns the same result.",
        ),
    ] = None,
) -> str | None:
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise IdempotencyKeyInvalid
    return key


async def known_query(request: Request) -> None:
    """Refuse unknown query parameters, which would otherwise be ignored. Names that begin with `_` are allowed.

    Raises RequestInvalid.
    """
    parameters = get_flat_params(request.scope["route"].dependant)
    known = {parameter.alias for parameter in parameters if isinstance(parameter.field_info, params.Query)}
    unknown = [name for name in request.query_params if name not in known and not name.startswith("_")]
    if unknown:
        faults = [FieldError(f"query.{name}", unknown_field_message(name, known)) for name in dict.fromkeys(unknown)]
        raise RequestInvalid(errors=faults)


ServicesDep = Annotated[Services, Depends(_services)]
CurrentUser = Annotated[User, Depends(_current_user)]
AccessToken = Annotated[str, Depends(_access_token)]
IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]
UserAgent = Annotated[str | None, Header(include_in_schema=False)]
ClientAddress = Annotated[str, Depends(_client_address)]
UploadFormDep = Annotated[UploadForm, Depends(_upload_form)]
