"""Accounts kept by Firebase Authentication, by its REST API; ID tokens are checked in firebase_tokens."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import stamina
import structlog

from app.auth.firebase_tokens import IdTokens, open_id_tokens, user_id
from app.domain.accounts import Profile, Tokens, User
from app.domain.errors import (
    AccountDisabled,
    AppError,
    CredentialsInvalid,
    DependencyUnavailable,
    EmailInvalid,
    EmailTaken,
    PasswordWeak,
    RefreshTokenInvalid,
    RegistrationClosed,
    SignInAgain,
    TokenExpired,
    TokenInvalid,
    TooManyAttempts,
)

_IDENTITY = "identitytoolkit.googleapis.com/v1/accounts"
_REFRESH = "securetoken.googleapis.com/v1/token"
_EMULATOR_VARIABLE = "FIREBASE_AUTH_EMULATOR_HOST"

_CALL_SECONDS = 10.0
"""What one call may take, attempts and pauses together."""
_ATTEMPTS = 3
_THROTTLED_SECONDS = 60
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NO_KEY = (
    "Signing in by password is not set up here (FIREBASE_API_KEY). Sign in with the Firebase SDK and send its ID token."
)
_SECOND_FACTOR = "This account has a second factor. Sign in with the Firebase SDK and send its ID token."


class _ServerError(Exception):
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        super().__init__(response.status_code)


class AccountGone(TokenInvalid):
    """Firebase no longer knows the account of the token."""


_ERRORS: Mapping[str, type[AppError]] = {
    "ADMIN_ONLY_OPERATION": RegistrationClosed,
    "EMAIL_EXISTS": EmailTaken,
    "EMAIL_NOT_FOUND": CredentialsInvalid,
    "INVALID_EMAIL": EmailInvalid,
    "INVALID_ID_TOKEN": TokenInvalid,
    "INVALID_LOGIN_CREDENTIALS": CredentialsInvalid,
    "INVALID_PASSWORD": CredentialsInvalid,
    "INVALID_REFRESH_TOKEN": RefreshTokenInvalid,
    "MISSING_EMAIL": EmailInvalid,
    "MISSING_PASSWORD": PasswordWeak,
    "MISSING_REFRESH_TOKEN": RefreshTokenInvalid,
    "OPERATION_NOT_ALLOWED": RegistrationClosed,
    "PASSWORD_DOES_NOT_MEET_REQUIREMENTS": PasswordWeak,
    "PASSWORD_LOGIN_DISABLED": RegistrationClosed,
    "PROJECT_NUMBER_MISMATCH": RefreshTokenInvalid,
    "TOKEN_EXPIRED": TokenExpired,
    "USER_DISABLED": AccountDisabled,
    "USER_NOT_FOUND": TokenInvalid,
    "WEAK_PASSWORD": PasswordWeak,
}
# What is told apart when an account is opened is one and the same answer when somebody signs in.
_SIGN_IN_ERRORS = {
    **_ERRORS,
    **dict.fromkeys(("INVALID_EMAIL", "MISSING_EMAIL", "MISSING_PASSWORD", "USER_NOT_FOUND"), CredentialsInvalid),
}
_DELETE_ERRORS = {**_ERRORS, "CREDENTIAL_TOO_OLD_LOGIN_AGAIN": SignInAgain, "USER_NOT_FOUND": AccountGone}
_REFRESH_ERRORS = {**_ERRORS, **dict.fromkeys(("TOKEN_EXPIRED", "USER_NOT_FOUND"), RefreshTokenInvalid)}


@contextlib.asynccontextmanager
async def open_firebase_accounts(
    client: httpx.AsyncClient, *, project_id: str, api_key: str | None, emulator_host: str | None
) -> AsyncIterator[FirebaseAccounts]:
    """Raises ValueError unless the emulator is asked for both here and in the environment, or in neither."""
    # The SDK reads the variable at every check and then takes unsigned tokens: never by accident.
    in_environment = os.environ.get(_EMULATOR_VARIABLE) or None
    if in_environment != emulator_host:
        raise ValueError(
            f"{_EMULATOR_VARIABLE} is {in_environment!r} in the environment of this process and {emulator_host!r} in "
            "its settings. With it tokens are accepted without a signature: unset it, or set both for development."
        )
    async with open_id_tokens(project_id) as id_tokens:
        yield FirebaseAccounts(client, id_tokens=id_tokens, api_key=api_key, emulator_host=emulator_host)


class FirebaseAccounts:
    """Attempts are throttled by Google, so the caller's address is not needed."""

    def __init__(
        self, client: httpx.AsyncClient, *, id_tokens: IdTokens, api_key: str | None, emulator_host: str | None
    ) -> None:
        self._client = client
        self._id_tokens = id_tokens
        self._api_key = api_key
        self._base_url = f"http://{emulator_host}/" if emulator_host else "https://"
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger()

    async def register(
        self,
        *,
        email: str,
        password: str,
        display_name: str | None,
        client: str,  # noqa: ARG002 # the provider throttles
        invitation: str | None = None,  # noqa: ARG002 # the provider decides who may register
    ) -> tuple[Profile, Tokens]:
        credentials = {"email": email, "password": password, "returnSecureToken": True}
        response = await self._call(f"{_IDENTITY}:signUp", json=credentials, idempotent=False)
        tokens = _tokens(response)
        try:
            if display_name:
                name = {"idToken": tokens.access_token, "displayName": display_name}
                await self._call(f"{_IDENTITY}:update", json=name)
            profile = await self._look_up(tokens.access_token)
        except AppError:
            # The account is there: who is told of an error now would try again and find the address taken.
            profile = Profile(user_id(response["localId"]), email, None, datetime.now(UTC))
            self._log.warning("account.registered_without_name", user_id=profile.id)
        return profile, tokens

    async def sign_in(self, *, email: str, password: str, client: str) -> Tokens:  # noqa: ARG002 # as above
        credentials = {"email": email, "password": password, "returnSecureToken": True}
        response = await self._call(f"{_IDENTITY}:signInWithPassword", json=credentials, errors=_SIGN_IN_ERRORS)
        if "idToken" not in response:
            raise CredentialsInvalid(_SECOND_FACTOR)
        return _tokens(response)

    async def refresh(self, refresh_token: str) -> Tokens:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        response = await self._call(_REFRESH, form=form, errors=_REFRESH_ERRORS)
        return Tokens(response["id_token"], response["refresh_token"], int(response["expires_in"]))

    async def authenticate(self, access_token: str) -> User:
        return (await self._id_tokens.verify(access_token)).user

    async def profile(self, access_token: str) -> Profile:
        verified = await self._id_tokens.verify(access_token)
        if self._api_key is None:
            return Profile(verified.user.id, verified.user.email, verified.name, created_at=None)
        return await self._look_up(access_token)

    async def revoke_access(self, access_token: str) -> None:
        """Delete the account at once: later nobody would have a token that Firebase takes for it.

        Without FIREBASE_API_KEY it stays with Firebase, for the app that made it to delete.
        """
        await self._id_tokens.verify(access_token)
        if self._api_key is None:
            return
        with contextlib.suppress(AccountGone):
            await self._call(f"{_IDENTITY}:delete", json={"idToken": access_token}, errors=_DELETE_ERRORS)

    async def delete_account(self, user_id: str) -> None:
        """Nothing is kept of it here."""

    async def _look_up(self, id_token: str) -> Profile:
        response = await self._call(f"{_IDENTITY}:lookup", json={"idToken": id_token})
        if not response.get("users"):
            raise TokenInvalid
        found = response["users"][0]
        created_at = datetime.fromtimestamp(int(found["createdAt"]) / 1000, UTC)
        return Profile(user_id(found["localId"]), found.get("email"), found.get("displayName"), created_at)

    async def _call(
        self,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        errors: Mapping[str, type[AppError]] = _ERRORS,
        idempotent: bool = True,
    ) -> dict[str, Any]:
        if self._api_key is None:
            raise RegistrationClosed(_NO_KEY)
        request = self._client.build_request(
            "POST", self._base_url + path, params={"key": self._api_key}, json=json, data=form
        )
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                response = await self._send(request, idempotent=idempotent)
            body: dict[str, Any] = response.json()
        except (TimeoutError, httpx.TransportError, ValueError) as error:
            self._log.warning("accounts.unreachable", path=path, error=repr(error))
            raise DependencyUnavailable("accounts") from error
        if response.is_success:
            return body
        raise self._error(body, path=path, errors=errors)

    async def _send(self, request: httpx.Request, *, idempotent: bool) -> httpx.Response:
        def is_retryable(error: Exception) -> bool:
            if isinstance(error, httpx.TransportError):
                return idempotent or isinstance(error, _NEVER_SENT)
            return isinstance(error, _ServerError) and idempotent

        try:
            async for attempt in stamina.retry_context(
                on=is_retryable, attempts=_ATTEMPTS, timeout=None, wait_initial=0.2
            ):
                with attempt:
                    response = _require_no_server_error(await self._client.send(request))
        except _ServerError as error:
            return error.response
        return response

    def _error(self, body: dict[str, Any], *, path: str, errors: Mapping[str, type[AppError]]) -> AppError:
        error = body.get("error")
        message = error.get("message") if isinstance(error, dict) else error
        code, _, words = str(message).partition(" : ")
        if code == "TOO_MANY_ATTEMPTS_TRY_LATER":
            return TooManyAttempts(retry_after=_THROTTLED_SECONDS)
        known = errors.get(code)
        if known is None:
            self._log.error("accounts.refused", path=path, code=code)
            return DependencyUnavailable("accounts")
        # Which passwords are good is decided in the Firebase console: only Google knows what is wrong with this one.
        return PasswordWeak(words) if known is PasswordWeak else known()


def _require_no_server_error(response: httpx.Response) -> httpx.Response:
    if response.is_server_error:
        raise _ServerError(response)
    return response


def _tokens(response: Mapping[str, Any]) -> Tokens:
    return Tokens(response["idToken"], response["refreshToken"], int(response["expiresIn"]))
