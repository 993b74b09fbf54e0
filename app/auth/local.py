"""Accounts that the service keeps itself: passwords, signed access tokens, and refresh tokens that are good once."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal

import jwt
from email_validator import EmailNotValidError, validate_email

from app.auth.invitations import Invitations
from app.auth.passwords import THREADS, Passwords
from app.common.rate_limit import RateLimit, RateLimiter
from app.common.signing import derive_key
from app.domain.accounts import Account, Profile, Session, Tokens, User
from app.domain.emails import normalize
from app.domain.errors import (
    CredentialsInvalid,
    EmailInvalid,
    EmailTaken,
    InvitationRequired,
    RefreshTokenInvalid,
    RegistrationClosed,
    TokenExpired,
    TokenInvalid,
)
from app.domain.ids import is_id, new_id
from app.ports.clock import Clock
from app.ports.tables import AccountTable

_ISSUER = "image-upload-service"
_AUDIENCE = "image-upload-service/api"
_REQUIRED_CLAIMS = ["sub", "email", "iat", "exp", "iss", "aud"]
_CLOCK_SKEW = timedelta(seconds=10)
_SESSION = timedelta(days=30)
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_EMAIL_LENGTH = 254  # RFC 5321 with erratum 1690 of RFC 3696


_SIGN_INS_PER_EMAIL_AND_CLIENT = RateLimit("sign-in by e-mail and client", 10, 15 * 60)
# Limits a client that tries one password on many accounts. A successful sign-in does not reset it.
_SIGN_INS_PER_CLIENT = RateLimit("sign-in by client", 1000, 15 * 60)
# Limits attackers with many addresses: NIST SP 800-63B, section 5.2.2, allows 100 consecutive failures.
_SIGN_INS_PER_EMAIL = RateLimit("sign-in by e-mail", 100, 60 * 60)
# A whole school or a mobile carrier may share one address.
_REGISTRATIONS_PER_CLIENT = RateLimit("registration by client", 1000, 60 * 60)


Registration = Literal["open", "invite", "closed"]


@asynccontextmanager
async def open_local_accounts(
    table: AccountTable,
    *,
    limiter: RateLimiter,
    invitations: Invitations,
    registration: Registration,
    secret_key: str,
    access_token_seconds: int,
    clock: Clock,
) -> AsyncIterator[LocalAccounts]:
    with ThreadPoolExecutor(THREADS, thread_name_prefix="passwords") as executor:
        yield LocalAccounts(
            table,
            limiter=limiter,
            invitations=invitations,
            registration=registration,
            passwords=Passwords(executor),
            secret_key=secret_key,
            access_token_seconds=access_token_seconds,
            clock=clock,
        )


class LocalAccounts:
    def __init__(
        self,
        table: AccountTable,
        *,
        limiter: RateLimiter,
        invitations: Invitations,
        registration: Registration,
        passwords: Passwords,
        secret_key: str,
        access_token_seconds: int,
        clock: Clock,
    ) -> None:
        self._table = table
        self._limiter = limiter
        self._invitations = invitations
        self._registration = registration
        self._passwords = passwords
        self._token_key = derive_key(secret_key, "access-token")
        self._access_token_seconds = access_token_seconds
        self._clock = clock

    async def register(
        self, *, email: str, password: str, display_name: str | None, client: str, invitation: str | None = None
    ) -> tuple[Profile, Tokens]:
        if self._registration == "closed":
            raise RegistrationClosed
        if self._registration == "invite" and not invitation:
            raise InvitationRequired
        email = _checked(email)
        with self._passwords.slot():
            await self._limiter.count(_REGISTRATIONS_PER_CLIENT, client)
            await self._passwords.check(password, email=email)
            password_hash = await self._passwords.hash(password)
        account = Account(new_id(), email, password_hash, display_name, self._clock())
        session, token = self._new_session(account)
        if invitation:
            await self._invitations.redeem(invitation, email=email)
        try:
            await self._table.add_account(account, session=session)
        except EmailTaken:
            if invitation:
                await self._invitations.release(invitation)
            raise
        return _profile(account), self._tokens(account, refresh_token=token)

    async def sign_in(self, *, email: str, password: str, client: str) -> Tokens:
        address = normalize(email)
        # The place comes first, so that an attempt that only found the queue full is not held against anybody.
        with self._passwords.slot():
            # Counted before the password is looked at: of many guesses at once no more than the limit get an answer.
            # The limits of the client come first, so that one client alone cannot use up the limit of the address.
            await self._limiter.count(_SIGN_INS_PER_CLIENT, client)
            await self._limiter.count(_SIGN_INS_PER_EMAIL_AND_CLIENT, address, client)
            await self._limiter.count(_SIGN_INS_PER_EMAIL, address)
            account = await self._find(email)
            good = await self._passwords.verify(account.password_hash if account else None, password)
            if account is None or not good:
                raise CredentialsInvalid
            if self._passwords.outdated(account.password_hash):
                await self._table.set_password_hash(account.id, await self._passwords.hash(password))
        await self._limiter.reset(_SIGN_INS_PER_EMAIL_AND_CLIENT, address, client)
        await self._limiter.reset(_SIGN_INS_PER_EMAIL, address)
        session, token = self._new_session(account)
        await self._table.add_session(session)
        return self._tokens(account, refresh_token=token)

    async def refresh(self, refresh_token: str) -> Tokens:
        account_id, session_id = _parse(refresh_token)
        # Read before the token is used up: should the table fail here, the client can come again with the same token.
        account = await self._table.find_account(account_id)
        if account is None:
            raise RefreshTokenInvalid
        now, successor = self._clock(), _new_refresh_token(account_id, session_id)
        rotated = await self._table.rotate_session(
            account_id,
            session_id,
            old_hash=_hash(refresh_token),
            new_hash=_hash(successor),
            expires_at=now + _SESSION,
            now=now,
        )
        if not rotated:
            # A used token means that two parties have had it. Only they know the session's id, and nobody can
            # tell which of them is the thief: end the session for both (RFC 9700, section 4.14.2).
            await self._table.remove_session(account_id, session_id)
            raise RefreshTokenInvalid
        return self._tokens(account, refresh_token=successor)

    async def authenticate(self, access_token: str) -> User:
        try:
            claims = jwt.decode(
                access_token,
                self._token_key,
                algorithms=["HS256"],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                options={"require": _REQUIRED_CLAIMS, "verify_iat": False, "verify_exp": False},
            )
            issued_at, expires_at = int(claims["iat"]), int(claims["exp"])
        except (jwt.InvalidTokenError, UnicodeEncodeError, ValueError, TypeError) as error:
            raise TokenInvalid from error
        # Not left to `decode`, which goes by this machine's clock; another machine may have issued the token.
        now = self._clock()
        if issued_at > (now + _CLOCK_SKEW).timestamp():
            raise TokenInvalid
        if expires_at <= now.timestamp():
            raise TokenExpired
        return User(claims["sub"], claims["email"])

    async def profile(self, access_token: str) -> Profile:
        user = await self.authenticate(access_token)
        account = await self._table.find_account(user.id)
        if account is None:
            raise TokenInvalid
        return _profile(account)

    async def revoke_access(self, access_token: str) -> None:
        user = await self.authenticate(access_token)
        await self._table.remove_sessions(user.id)

    async def delete_account(self, user_id: str) -> None:
        await self._table.remove_account(user_id)

    async def _find(self, email: str) -> Account | None:
        try:
            return await self._table.find_account_by_email(_checked(email))
        except EmailInvalid:
            return None

    def _new_session(self, account: Account) -> tuple[Session, str]:
        session_id = new_id()
        token = _new_refresh_token(account.id, session_id)
        return Session(session_id, account.id, _hash(token), self._clock() + _SESSION), token

    def _tokens(self, account: Account, *, refresh_token: str) -> Tokens:
        now = int(self._clock().timestamp())
        claims = {
            "sub": account.id,
            "email": account.email,
            "iat": now,
            "exp": now + self._access_token_seconds,
            "iss": _ISSUER,
            "aud": _AUDIENCE,
        }
        access_token = jwt.encode(claims, self._token_key, algorithm="HS256")
        return Tokens(access_token, refresh_token, self._access_token_seconds)


def _checked(email: str) -> str:
    address = email.strip()
    if len(address) > _MAX_EMAIL_LENGTH:
        raise EmailInvalid(f"An e-mail address has at most {_MAX_EMAIL_LENGTH} characters.")
    try:
        validate_email(address, check_deliverability=False)
    except EmailNotValidError as error:
        raise EmailInvalid(f"This is not an e-mail address: {error}") from error
    return address


def _new_refresh_token(account_id: str, session_id: str) -> str:
    return f"{account_id}.{session_id}.{secrets.token_urlsafe(32)}"


def _parse(refresh_token: str) -> tuple[str, str]:
    match refresh_token.split("."):
        case [account_id, session_id, secret] if is_id(account_id) and is_id(session_id) and _SECRET.fullmatch(secret):
            return account_id, session_id
        case _:
            raise RefreshTokenInvalid


def _hash(refresh_token: str) -> str:
    return hashlib.sha256(refresh_token.encode()).hexdigest()


def _profile(account: Account) -> Profile:
    return Profile(account.id, account.email, account.display_name, account.created_at)
