"""Assembles the accounts that the service itself stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.auth.access_tokens import AccessTokens
from app.auth.account_settings import LocalAccountSettings
from app.auth.invitations import Invitations
from app.auth.local import LocalAccounts, Registration
from app.auth.password_reset import PasswordReset
from app.auth.passwords import Passwords, open_passwords
from app.auth.sessions import Sessions
from app.auth.sign_in import SignIn
from app.common.rate_limit import RateLimiter
from app.ports.clock import Clock
from app.ports.tables import AccountTable

if TYPE_CHECKING:
    from app.auth.mail import Mailer


@dataclass(frozen=True, slots=True)
class LocalAuth:
    accounts: LocalAccounts
    settings: LocalAccountSettings
    password_reset: PasswordReset
    passwords: Passwords


@asynccontextmanager
async def open_local_auth(
    table: AccountTable,
    *,
    limiter: RateLimiter,
    invitations: Invitations,
    registration: Registration,
    secret_key: str,
    access_token_seconds: int,
    clock: Clock,
    mailer: Mailer | None = None,
    public_url: str | None = None,
    forbidden_words: Collection[str] = (),
) -> AsyncIterator[LocalAuth]:
    """`public_url` is needed only with `mailer`: the links of its messages lead there."""
    with open_passwords(forbidden_words=forbidden_words) as passwords:
        sign_in = SignIn(table, passwords=passwords, limiter=limiter)
        accounts = LocalAccounts(
            table,
            limiter=limiter,
            invitations=invitations,
            registration=registration,
            passwords=passwords,
            sign_in=sign_in,
            sessions=Sessions(table, secret_key=secret_key, clock=clock),
            access_tokens=AccessTokens(secret_key, lifetime_seconds=access_token_seconds, clock=clock),
            clock=clock,
        )
        password_reset = PasswordReset(
            table,
            passwords=passwords,
            sign_in=sign_in,
            limiter=limiter,
            mailer=mailer,
            public_url=public_url,
            secret_key=secret_key,
            clock=clock,
        )
        settings = LocalAccountSettings(table, passwords=passwords, sign_in=sign_in, clock=clock)
        yield LocalAuth(accounts, settings, password_reset, passwords)
        await password_reset.finish()
