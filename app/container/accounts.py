"""Opens the accounts that the settings select. Adapters are imported only when they are selected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.auth.invitations import Invitations
from app.common.rate_limit import RateLimiter
from app.container.backends import Tables
from app.ports.auth import Accounts, AccountSettings, AppCheck
from app.ports.password_hasher import PasswordHasher
from app.settings import Settings, reveal

if TYPE_CHECKING:
    from app.auth.mail import Mailer
    from app.auth.password_reset import PasswordReset

_CALL_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Auth:
    accounts: Accounts
    passwords: PasswordHasher
    settings: AccountSettings | None = None
    """None if another provider keeps the accounts."""
    password_reset: PasswordReset | None = None
    """None if another provider keeps the accounts."""
    app_check: AppCheck | None = None
    """None if clients need not prove that they are a genuine app."""


def open_invitations(tables: Tables, *, secret: str) -> Invitations:
    return Invitations(tables.counters, secret_key=secret, clock=tables.clock)


@asynccontextmanager
async def open_local_accounts(
    settings: Settings, tables: Tables, *, limiter: RateLimiter, secret: str
) -> AsyncIterator[Auth]:
    from app.auth.local_auth import open_local_auth

    async with open_local_auth(
        tables.accounts,
        limiter=limiter,
        invitations=open_invitations(tables, secret=secret),
        registration=settings.registration or "open",
        secret_key=secret,
        access_token_seconds=settings.access_token_expire_minutes * 60,
        clock=tables.clock,
        mailer=_make_mailer(settings),
        public_url=settings.public_url,
        forbidden_words=settings.password_forbidden_words,
    ) as local:
        yield Auth(local.accounts, local.passwords, local.settings, local.password_reset)


def _make_mailer(settings: Settings) -> Mailer | None:
    smtp_url = reveal(settings.smtp_url)
    if smtp_url is None:
        return None
    from app.auth.mail import Mailer

    return Mailer(smtp_url, sender=settings.email_from or "")


@asynccontextmanager
async def open_firebase_accounts(settings: Settings) -> AsyncIterator[Auth]:
    import httpx

    from app.auth import firebase
    from app.auth.passwords import open_passwords

    with open_passwords() as passwords:
        async with (
            httpx.AsyncClient(timeout=_CALL_SECONDS) as client,
            firebase.open_firebase_accounts(
                client,
                project_id=settings.google_cloud_project or "",
                api_key=reveal(settings.firebase_api_key),
                emulator_host=settings.firebase_auth_emulator_host,
                checks_revoked=settings.firebase_check_revoked,
            ) as accounts,
            _open_app_check(settings) as app_check,
        ):
            yield Auth(accounts, passwords, app_check=app_check)


@asynccontextmanager
async def _open_app_check(settings: Settings) -> AsyncIterator[AppCheck | None]:
    if not settings.require_app_check:
        yield None
        return
    from app.auth.firebase_tokens import open_app_check

    async with open_app_check(settings.google_cloud_project or "") as app_check:
        yield app_check
