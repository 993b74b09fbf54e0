"""Sessions: chains of refresh tokens, each of which can be exchanged for the next one."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta

from app.common.signing import derive_key
from app.domain.accounts import Account, Session
from app.domain.errors import AccountDisabled, RefreshTokenInvalid
from app.domain.ids import is_id, new_id
from app.domain.text import clean_line
from app.ports.clock import Clock
from app.ports.tables import AccountTable

_LIFETIME = timedelta(days=30)
_MAX_AGE = timedelta(days=365)
"""After this time the user signs in again, however often the session was used (OWASP ASVS 5.0, 7.3.2)."""
_REPEATABLE = timedelta(seconds=60)
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_USER_AGENT = 200
_RANDOM_BYTES = 16


class Sessions:
    def __init__(self, table: AccountTable, *, secret_key: str, clock: Clock) -> None:
        self._table = table
        self._key = derive_key(secret_key, "refresh-token")
        self._tag_key = derive_key(secret_key, "refresh-token-tag")
        self._clock = clock

    def new(self, account_id: str, *, user_agent: str | None) -> tuple[Session, str]:
        """Return a session, which the caller stores, and its first refresh token."""
        now, session_id = self._clock(), new_id()
        token = self._make_token(f"{account_id}.{session_id}", secrets.token_bytes(_RANDOM_BYTES))
        device = clean_line(user_agent or "")[:_MAX_USER_AGENT] or None
        return Session(session_id, account_id, _hash(token), now + _LIFETIME, now, user_agent=device), token

    async def refresh(self, token: str) -> tuple[Account, str, str]:
        """Exchange a refresh token. Return the account, the id of the session, and the next refresh token.

        The next token is derived from the used one, so that a client that lost the response, or two tabs that refresh
        at the same time, get the same token. This is possible for 60 s, and only until the next token is used.

        Raises AccountDisabled, or RefreshTokenInvalid if the token is malformed, has expired, was used before, or
        belongs to no account. Unless it is malformed or belongs to no account, its session has then ended.
        """
        account_id, session_id = _parse(token)
        # The account is read before the token is used: if the table fails here, the client can retry with this token.
        account, session = await asyncio.gather(
            self._table.find_account(account_id), self._table.find_session(account_id, session_id)
        )
        if account is None or session is None:
            raise RefreshTokenInvalid
        now, successor = self._clock(), self._successor(token)
        rotated = await self._table.rotate_session(
            account_id,
            session_id,
            old_hash=_hash(token),
            new_hash=_hash(successor),
            expires_at=_end(session, now=now),
            now=now,
        )
        if rotated or await self._was_just_rotated(account_id, session_id, new_hash=_hash(successor)):
            if account.disabled_at:
                raise AccountDisabled
            return account, session_id, successor
        # If a token is used twice, two parties have it, and one of them may have stolen it. The session ends for both
        # (RFC 9700, section 4.14.2). Someone who only knows the ids cannot end it.
        if self._is_genuine(token):
            await self._table.remove_session(account_id, session_id)
        raise RefreshTokenInvalid

    async def _was_just_rotated(self, account_id: str, session_id: str, *, new_hash: str) -> bool:
        session = await self._table.find_session(account_id, session_id)
        if session is None or session.refreshed_at is None or not hmac.compare_digest(session.token_hash, new_hash):
            return False
        return self._clock() < session.refreshed_at + _REPEATABLE

    def _successor(self, token: str) -> str:
        digest = hmac.digest(self._key, token.encode(), hashlib.sha256)
        return self._make_token(token.rpartition(".")[0], digest[:_RANDOM_BYTES])

    def _make_token(self, ids: str, random: bytes) -> str:
        """Return a token whose secret is `random` and a tag, which shows that this service issued it."""
        tag = hmac.digest(self._tag_key, f"{ids}.{random.hex()}".encode(), hashlib.sha256)[:_RANDOM_BYTES]
        return f"{ids}.{base64.urlsafe_b64encode(random + tag).rstrip(b'=').decode()}"

    def _is_genuine(self, token: str) -> bool:
        """Return whether the service issued the token. Tokens of earlier versions have no tag."""
        ids, _, secret = token.rpartition(".")
        random = base64.urlsafe_b64decode(f"{secret}=")[:_RANDOM_BYTES]
        return hmac.compare_digest(self._make_token(ids, random), token)


def _end(session: Session, *, now: datetime) -> datetime:
    """Return when the session ends if it is not used again."""
    unused = now + _LIFETIME
    return min(unused, session.created_at + _MAX_AGE) if session.created_at else unused


def _parse(token: str) -> tuple[str, str]:
    match token.split("."):
        case [account_id, session_id, secret] if is_id(account_id) and is_id(session_id) and _SECRET.fullmatch(secret):
            return account_id, session_id
        case _:
            raise RefreshTokenInvalid


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
