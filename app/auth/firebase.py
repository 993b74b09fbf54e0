"""Accounts in Firebase Authentication, through its REST API. `firebase_tokens` verifies ID tokens."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import stamina
import structlog
from cachetools import TTLCache

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
"""The time limit of one call, including its retries and pauses."""
_ATTEMPTS = 3
_THROTTLED_SECONDS = 60
_RECENT_SIGN_IN_SECONDS = 5 * 60
"""As Firebase itself requires for the deletion of an account."""
_REVOKED_SECONDS = 60
"""How long a token is accepted after Firebase revoked it."""
_MAX_CACHED = 10_000
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NO_KEY = "Sign-in by password requires FIREBASE_API_KEY. Sign in with the Firebase SDK and send its ID token."
_SECOND_FACTOR = "This account has a second factor. Sign in with the Firebase SDK and send its ID token."


class _ServerError(Exception):
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        super().__init__(response.status_code)


class AccountGone(TokenInvalid):
    """The account of the token no longer exists in Firebase."""


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
# These errors are distinct for registration, but are reported as one error for sign-in, so that a sign-in does not
# reveal which addresses have an account.
_SIGN_IN_ERRORS = {
    **_ERRORS,
    **dict.fromkeys(("INVALID_EMAIL", "MISSING_EMAIL", "MISSING_PASSWORD", "USER_NOT_FOUND"), CredentialsInvalid),
}
_DELETE_ERRORS = {**_ERRORS, "CREDENTIAL_TOO_OLD_LOGIN_AGAIN": SignInAgain, "USER_NOT_FOUND": AccountGone}
# Firebase reports a token that was issued before its user's sessions were revoked as expired.
_REVOKED_ERRORS = {**_ERRORS, "TOKEN_EXPIRED": TokenInvalid}
_REFRESH_ERRORS = {**_ERRORS, **dict.fromkeys(("TOKEN_EXPIRED", "USER_NOT_FOUND"), RefreshTokenInvalid)}


@contextlib.asynccontextmanager
async def open_firebase_accounts(
    client: httpx.AsyncClient,
    *,
    project_id: str,
    api_key: str | None,
    emulator_host: str | None,
    checks_revoked: bool = False,
) -> AsyncIterator[FirebaseAccounts]:
    """Raises ValueError unless the emulator is set both in the settings and in the environment, or in neither."""
    # The SDK reads the variable for each token and then accepts unsigned tokens. This must never happen by accident.
    in_environment = os.environ.get(_EMULATOR_VARIABLE) or None
    if in_environment != emulator_host:
        raise ValueError(
            f"{_EMULATOR_VARIABLE} is {in_environment!r} in the environment of this process and {emulator_host!r} in "
            "its settings. The emulator accepts tokens without a signature: unset both, or set both for development."
        )
    async with open_id_tokens(project_id) as id_tokens:
        yield FirebaseAccounts(
            client,
            id_tokens=id_tokens,
            api_key=api_key,
            emulator_host=emulator_host,
            checks_revoked=checks_revoked,
        )


class FirebaseAccounts:
    """Google limits the rate of attempts, so the address of the client is not needed."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        id_tokens: IdTokens,
        api_key: str | None,
        emulator_host: str | None,
        checks_revoked: bool = False,
    ) -> None:
        self._client = client
        self._id_tokens = id_tokens
        self._api_key = api_key
        self._checks_revoked = checks_revoked
        self._active: TTLCache[bytes, bool] = TTLCache(_MAX_CACHED, ttl=_REVOKED_SECONDS)
        self._base_url = f"http://{emulator_host}/" if emulator_host else "https://"
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger()

    async def register(
        self,
        *,
        email: str,
        password: str,
        display_name: str | None,
        client: str,  # noqa: ARG002 # Firebase limits the rate
        user_agent: str | None = None,  # noqa: ARG002 # Firebase does not show it
        invitation: str | None = None,  # noqa: ARG002 # Firebase controls registration
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
            # The account exists. After an error, the client would register again and find that the address is taken.
            profile = Profile(user_id(response["localId"]), email, None, datetime.now(UTC))
            self._log.warning("account.registered_without_name", user_id=profile.id)
        return profile, tokens

    async def sign_in(
        self,
        *,
        email: str,
        password: str,
        client: str,  # noqa: ARG002 # as above
        user_agent: str | None = None,  # noqa: ARG002 # as above
    ) -> Tokens:
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

    async def require_active(self, user: User, access_token: str) -> None:  # noqa: ARG002 # the token is enough
        """With FIREBASE_CHECK_REVOKED, ask Firebase whether the token was revoked, at most once a minute."""
        if not self._checks_revoked:
            return
        key = hashlib.sha256(access_token.encode()).digest()
        if key not in self._active:
            await self._call(f"{_IDENTITY}:lookup", json={"idToken": access_token}, errors=_REVOKED_ERRORS)
            self._active[key] = True

    async def profile(self, access_token: str) -> Profile:
        verified = await self._id_tokens.verify(access_token)
        if self._api_key is None:
            return Profile(verified.user.id, verified.user.email, verified.name, created_at=None)
        return await self._look_up(access_token)

    async def authorize_deletion(self, access_token: str, *, password: str | None = None) -> None:  # noqa: ARG002
        """Delete the account immediately, because no later request has a token that Firebase accepts for it.

        Firebase itself requires a recent sign-in, so that a password is not needed. Without FIREBASE_API_KEY, the
        account remains in Firebase, and the app has to delete it.
        """
        verified = await self._id_tokens.verify(access_token)
        if self._api_key is None:
            if time.time() > verified.signed_in_at + _RECENT_SIGN_IN_SECONDS:
                raise SignInAgain
            return
        with contextlib.suppress(AccountGone):
            await self._call(f"{_IDENTITY}:delete", json={"idToken": access_token}, errors=_DELETE_ERRORS)

    async def delete_account(self, user_id: str) -> None:
        """Do nothing: the service itself stores nothing about the account."""

    async def _look_up(self, id_token: str) -> Profile:
        response = await self._call(f"{_IDENTITY}:lookup", json={"idToken": id_token})
        if not response.get("users"):
            raise TokenInvalid
        account = response["users"][0]
        created_at = datetime.fromtimestamp(int(account["createdAt"]) / 1000, UTC)
        return Profile(user_id(account["localId"]), account.get("email"), account.get("displayName"), created_at)

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
        code, _, explanation = str(message).partition(" : ")
        if code == "TOO_MANY_ATTEMPTS_TRY_LATER":
            return TooManyAttempts(retry_after=_THROTTLED_SECONDS)
        error_class = errors.get(code)
        if error_class is None:
            self._log.error("accounts.refused", path=path, code=code)
            return DependencyUnavailable("accounts")
        # The rules for passwords are set in the Firebase console, so only the response explains the fault.
        return PasswordWeak(explanation) if error_class is PasswordWeak else error_class()


def _require_no_server_error(response: httpx.Response) -> httpx.Response:
    if response.is_server_error:
        raise _ServerError(response)
    return response


def _tokens(response: Mapping[str, Any]) -> Tokens:
    return Tokens(response["idToken"], response["refreshToken"], int(response["expiresIn"]))
