"""Verifies Firebase ID tokens and App Check tokens with Google's keys, outside the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import firebase_admin
import jwt
from cachetools import TLRUCache
from firebase_admin import app_check, auth
from google.auth.credentials import AnonymousCredentials

from app.domain.accounts import User
from app.domain.errors import AppCheckFailed, AppError, DependencyUnavailable, Overloaded, TokenExpired, TokenInvalid
from app.domain.ids import new_id

_CERTIFICATE_SECONDS = 5
_VERIFYING_SECONDS = 10.0
_CLOCK_SKEW_SECONDS = 10  # With less, "Token used too early" is a common error: firebase-admin-python#624.
_THREADS = 2
_MAX_WAITING = 256
_MAX_CACHED = 10_000
_MAX_LENGTH = 8192
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Verified:
    user: User
    name: str | None
    signed_in_at: float
    """Seconds since 1970, by Firebase's clock."""


@asynccontextmanager
async def open_id_tokens(project_id: str) -> AsyncIterator[IdTokens]:
    with _firebase_app(project_id) as app:
        async with _executor("id-tokens") as executor:
            yield IdTokens(executor, app=app)


@asynccontextmanager
async def open_app_check(project_id: str) -> AsyncIterator[FirebaseAppCheck]:
    with _firebase_app(project_id) as app:
        async with _executor("app-check") as executor:
            yield FirebaseAppCheck(executor, app=app)


@contextmanager
def _firebase_app(project_id: str) -> Iterator[firebase_admin.App]:
    # Only the project id determines which tokens are valid, but the SDK requires a credential object.
    options = {"projectId": project_id, "httpTimeout": _CERTIFICATE_SECONDS}
    app = firebase_admin.initialize_app(AnonymousCredentials(), options, name=new_id())  # type: ignore[no-untyped-call]
    try:
        yield app
    finally:
        firebase_admin.delete_app(app)


@asynccontextmanager
async def _executor(name: str) -> AsyncIterator[ThreadPoolExecutor]:
    executor = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)
    try:
        yield executor
    finally:
        await asyncio.to_thread(executor.shutdown, cancel_futures=True)


class _TokenVerifier:
    """Verifies tokens in threads, a limited number at a time, and caches the claims of valid ones until they expire."""

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        verify: Callable[[str], dict[str, Any]],
        *,
        invalid: type[AppError],
        clock: Callable[[], float],
    ) -> None:
        """`verify` blocks, and raises `invalid` or another AppError."""
        self._executor = executor
        self._verify = verify
        self._invalid = invalid
        self._cache: TLRUCache[bytes, dict[str, Any]] = TLRUCache(
            _MAX_CACHED, ttu=lambda _key, claims, _now: float(claims.get("exp", 0)), timer=clock
        )
        self._waiting = 0

    async def claims(self, token: str) -> dict[str, Any]:
        # Checked before the SDK parses the token, which could be megabytes of nested JSON.
        if len(token) > _MAX_LENGTH or not _SHAPE.fullmatch(token):
            raise self._invalid
        key = hashlib.sha256(token.encode()).digest()
        cached = self._cache.get(key)
        if cached:
            return cached
        claims = await self._verify_in_thread(token)
        self._cache[key] = claims
        return claims

    async def _verify_in_thread(self, token: str) -> dict[str, Any]:
        if self._waiting >= _MAX_WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            async with asyncio.timeout(_VERIFYING_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._executor, self._verify, token)
        except TimeoutError as error:
            raise DependencyUnavailable("accounts") from error
        finally:
            self._waiting -= 1


class IdTokens:
    def __init__(
        self, executor: ThreadPoolExecutor, *, app: firebase_admin.App, clock: Callable[[], float] = time.time
    ) -> None:
        self._app = app
        self._verifier = _TokenVerifier(executor, self._verify, invalid=TokenInvalid, clock=clock)

    async def verify(self, token: str) -> Verified:
        """Raises TokenInvalid, TokenExpired, Overloaded, or DependencyUnavailable without Google's certificates."""
        return _to_verified(await self._verifier.claims(token))

    def _verify(self, token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = auth.verify_id_token(token, self._app, clock_skew_seconds=_CLOCK_SKEW_SECONDS)
        except auth.CertificateFetchError as error:
            raise DependencyUnavailable("accounts") from error
        except auth.ExpiredIdTokenError as error:
            raise TokenExpired from error
        except auth.InvalidIdTokenError as error:
            # The SDK reports an invalid token if the certificates are not JSON, for example behind a captive portal.
            if isinstance(error.cause, json.JSONDecodeError):
                raise DependencyUnavailable("accounts") from error
            raise TokenInvalid from error
        # The SDK compares claims, which may have an unexpected type, before it verifies the signature.
        except (ValueError, TypeError, RecursionError) as error:
            raise TokenInvalid from error
        return claims


class FirebaseAppCheck:
    def __init__(
        self, executor: ThreadPoolExecutor, *, app: firebase_admin.App, clock: Callable[[], float] = time.time
    ) -> None:
        self._app = app
        self._verifier = _TokenVerifier(executor, self._verify, invalid=AppCheckFailed, clock=clock)

    async def verify(self, token: str | None) -> None:
        if not token:
            raise AppCheckFailed
        await self._verifier.claims(token)

    def _verify(self, token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = app_check.verify_token(token, self._app)
        except jwt.PyJWKClientConnectionError as error:
            raise DependencyUnavailable("accounts") from error
        # The SDK does not convert errors of claims that have an unexpected type.
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise AppCheckFailed from error
        return claims


def user_id(subject: str) -> str:
    """Return an id that is safe in an object key. The dot separates encoded ids from the others."""
    return subject if _SAFE_ID.fullmatch(subject) else f"x.{hashlib.sha256(subject.encode()).hexdigest()}"


def _to_verified(claims: dict[str, Any]) -> Verified:
    user = User(user_id(claims["sub"]), claims.get("email"))
    return Verified(user, claims.get("name"), float(claims.get("auth_time", 0)))
