"""Dependencies of the routes: the services, the authenticated user, and values of request headers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, ClassVar

import structlog
from fastapi import Depends, Header, Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer, OAuth2PasswordBearer

from app.api.auditing import AuditedRoute
from app.api.errors import unknown_field_message
from app.api.services import Services
from app.api.upload_form import UploadForm
from app.domain.accounts import User
from app.domain.addresses import throttling_key
from app.domain.administration import Scope, ServerKey
from app.domain.errors import (
    FieldError,
    IdempotencyKeyInvalid,
    RequestInvalid,
    ServerKeyRefused,
    TokenInvalid,
    TokenMissing,
)
from app.services.server_keys import TOKEN_PREFIX
from app.services.user_administration import is_user_id

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

_ON_BEHALF_OF = "X-On-Behalf-Of"
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


class AuthenticatedRoute(AuditedRoute):
    """Authenticates before the body is read. FastAPI reads the body before it runs dependencies."""

    accepts_server_keys: ClassVar[bool] = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_authenticated(request: Request) -> Response:
            token = await _password(request)
            if not token:
                raise TokenMissing
            services = await _services(request)
            if token.startswith(TOKEN_PREFIX):
                authenticate = self._key_authenticator(request, services, token)
            else:
                await require_genuine_app(request, services)
                authenticate = functools.partial(services.authentication.authenticate, token)
            user = await authenticate()
            structlog.contextvars.bind_contextvars(user_id=user.id)
            request.state.access_token, request.state.user, request.state.authenticate = token, user, authenticate
            return await handle(request)

        return handle_authenticated

    def _key_authenticator(
        self, request: Request, services: Services, token: str
    ) -> Callable[[], Coroutine[Any, Any, User]]:
        if not self.accepts_server_keys:
            raise TokenInvalid("This route needs the access token of a user, and does not accept server keys.")

        async def authenticate() -> User:
            key = await services.server_keys.authenticate(token)
            require_scope(key, Scope.IMAGES)
            user_id = request.headers.get(_ON_BEHALF_OF, "")
            if not is_user_id(user_id):
                raise RequestInvalid(
                    errors=[FieldError(f"header.{_ON_BEHALF_OF}", "A server key needs a user id here")]
                )
            await services.user_administration.require_usable(user_id)
            await services.authentication.index(user_id)
            request.state.actor = f"key:{key.id}"
            return User(user_id)

        return authenticate


class UserOrServerRoute(AuthenticatedRoute):
    """Also accepts a server key with the scope `images`, together with the id of a user in `X-On-Behalf-Of`."""

    accepts_server_keys = True


def require_scope(key: ServerKey, scope: Scope) -> None:
    """Raises ServerKeyRefused."""
    if scope not in key.scopes:
        raise ServerKeyRefused(
            f"This route needs a server key with the scope {scope}. The key {key.name!r} does not have it."
        )


async def _access_token(
    request: Request, _: Annotated[object, Depends(_password)], __: Annotated[object, Depends(_bearer)]
) -> str:
    """Return the token of a request to an AuthenticatedRoute. The unused dependencies declare schemes in OpenAPI."""
    token: str = request.state.access_token
    return token


async def _current_user(request: Request, _: Annotated[str, Depends(_access_token)]) -> User:
    user: User = request.state.user
    return user


async def _client_address(request: Request) -> str:
    """Return the address by which rate limits count requests."""
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
    known = _query_parameters(request.scope["route"])
    unknown = [name for name in request.query_params if name not in known and not name.startswith("_")]
    if unknown:
        faults = [FieldError(f"query.{name}", unknown_field_message(name, known)) for name in dict.fromkeys(unknown)]
        raise RequestInvalid(errors=faults)


_query_parameters_of: dict[Callable[..., Any], frozenset[str]] = {}
"""By the function of the route."""


def _query_parameters(route: APIRoute) -> frozenset[str]:
    if route.endpoint not in _query_parameters_of:
        parameters = get_flat_params(route.dependant)
        names = frozenset(each.alias for each in parameters if isinstance(each.field_info, params.Query))
        _query_parameters_of[route.endpoint] = names
    return _query_parameters_of[route.endpoint]


ServicesDep = Annotated[Services, Depends(_services)]
CurrentUser = Annotated[User, Depends(_current_user)]
AccessToken = Annotated[str, Depends(_access_token)]
IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]
UserAgent = Annotated[str | None, Header(include_in_schema=False)]
ClientAddress = Annotated[str, Depends(_client_address)]
UploadFormDep = Annotated[UploadForm, Depends(_upload_form)]
