"""The tokens of a signed-in user, and how they are renewed."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

from image_upload_client.errors import ImageServiceError
from image_upload_client.exchange import Operation, Request, call

_RENEWED_BEFORE_SECONDS = 60


@dataclass(frozen=True)
class Tokens:
    access_token: str
    refresh_token: str
    expires_at: float
    """When the access token expires, in seconds since 1970."""

    @classmethod
    def parse(cls, response: dict[str, Any]) -> Self:
        return cls(response["access_token"], response["refresh_token"], time.time() + response["expires_in"])


class TokenStore:
    """Keeps tokens in memory. A subclass can keep them elsewhere."""

    def __init__(self) -> None:
        self._tokens: Tokens | None = None

    def load(self) -> Tokens | None:
        return self._tokens

    def save(self, tokens: Tokens | None) -> None:
        """Keep the tokens, or forget them if they are None."""
        self._tokens = tokens

    def lock(self) -> AbstractContextManager[None]:
        """Exclude other processes that use the same tokens while they are renewed. A refresh token works only once."""
        return nullcontext()


def current_token(store: TokenStore, *, refused: str | None) -> Operation[str]:
    """Return an access token, which is renewed if it expires soon or if it is the one that was refused.

    Raises ImageServiceError `signed_out` if there are no valid tokens.
    """
    tokens = _require(store.load())
    if not _is_outdated(tokens, refused):
        return tokens.access_token
    with store.lock():
        tokens = _require(store.load())
        if _is_outdated(tokens, refused):
            tokens = yield from _renew(store, tokens)
    return tokens.access_token


def _require(tokens: Tokens | None) -> Tokens:
    if tokens is None:
        raise ImageServiceError("signed_out", "You are signed out. Sign in first.")
    return tokens


def _is_outdated(tokens: Tokens, refused: str | None) -> bool:
    return tokens.access_token == refused or tokens.expires_at < time.time() + _RENEWED_BEFORE_SECONDS


def _renew(store: TokenStore, tokens: Tokens) -> Operation[Tokens]:
    form = {"refresh_token": tokens.refresh_token}
    try:
        response = yield from call(Request(method="POST", path="/auth/refresh", form=form, needs_token=False))
    except ImageServiceError as error:
        if error.code != "refresh_token_invalid":
            raise
        store.save(None)
        raise ImageServiceError("signed_out", "Your session has ended. Sign in again.", status=error.status) from error
    renewed = Tokens.parse(response.json())
    store.save(renewed)
    return renewed


def sign_in(store: TokenStore, email: str, password: str) -> Operation[None]:
    form = {"username": email, "password": password}
    response = yield from call(Request(method="POST", path="/auth/token", form=form, needs_token=False))
    store.save(Tokens.parse(response.json()))


def register(store: TokenStore, body: dict[str, str]) -> Operation[None]:
    request = Request(method="POST", path="/auth/register", json=body, needs_token=False, is_safe=False)
    response = yield from call(request)
    store.save(Tokens.parse(response.json()))


def sign_out(store: TokenStore) -> Operation[None]:
    """End the session, and forget the tokens even if the service does not respond."""
    try:
        yield from call(Request(method="POST", path="/auth/logout"))
    except ImageServiceError as error:
        # The session has already ended, or the service does not manage sessions.
        if error.code not in {"signed_out", "token_invalid", "account_disabled", "accounts_external"}:
            raise
    finally:
        store.save(None)
