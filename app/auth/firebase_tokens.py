"""Verifies Firebase ID tokens with Google's certificates, outside the event loop, and caches the valid ones."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import firebase_admin
from cachetools import TLRUCache
from firebase_admin import auth
from google.auth.credentials import AnonymousCredentials

from app.domain.accounts import User
from app.domain.errors import DependencyUnavailable, Overloaded, TokenExpired, TokenInvalid
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
    expires_at: float


@asynccontextmanager
async def open_id_tokens(project_id: str) -> AsyncIterator[IdTokens]:
    # Only the project id determines which tokens are valid, but the SDK requires a credential object.
    options = {"projectId": project_id, "httpTimeout": _CERTIFICATE_SECONDS}
    app = firebase_admin.initialize_app(AnonymousCredentials(), options, name=new_id())  # type: ignore[no-untyped-call]
    executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="id-tokens")
    try:
        yield IdTokens(executor, app=app)
    finally:
        await asyncio.to_thread(executor.shutdown, cancel_futures=True)
        firebase_admin.delete_app(app)


class IdTokens:
    def __init__(
        self, executor: ThreadPoolExecutor, *, app: firebase_admin.App, clock: Callable[[], float] = time.time
    ) -> None:
        self._executor = executor
        self._app = app
        self._cache: TLRUCache[bytes, Verified] = TLRUCache(
            _MAX_CACHED, ttu=lambda _key, verified, _now: verified.expires_at, timer=clock
        )
        self._waiting = 0

    async def verify(self, token: str) -> Verified:
        """Raises TokenInvalid, TokenExpired, Overloaded, or DependencyUnavailable without Google's certificates."""
        # Checked before the SDK parses the token, which could be megabytes of nested JSON.
        if len(token) > _MAX_LENGTH or not _SHAPE.fullmatch(token):
            raise TokenInvalid
        key = hashlib.sha256(token.encode()).digest()
        cached = self._cache.get(key)
        if cached:
            return cached
        verified = _to_verified(await self._claims(token))
        self._cache[key] = verified
        return verified

    async def _claims(self, token: str) -> dict[str, Any]:
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


def user_id(subject: str) -> str:
    """Return an id that is safe in an object key. The dot separates encoded ids from the others."""
    return subject if _SAFE_ID.fullmatch(subject) else f"x.{hashlib.sha256(subject.encode()).hexdigest()}"


def _to_verified(claims: dict[str, Any]) -> Verified:
    user = User(user_id(claims["sub"]), claims.get("email"))
    return Verified(user, claims.get("name"), claims.get("exp", 0))
