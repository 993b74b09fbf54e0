"""Opens the accounts that the settings select. Adapters are imported only when they are selected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.auth.invitations import Invitations
from app.common.rate_limit import RateLimiter
from app.container.backends import Tables
from app.ports.auth import Accounts
from app.settings import Settings, reveal

_CALL_SECONDS = 5


def open_invitations(tables: Tables, *, secret: str) -> Invitations:
    return Invitations(tables.counters, secret_key=secret, clock=tables.clock)


@asynccontextmanager
async def open_local_accounts(
    settings: Settings, tables: Tables, *, limiter: RateLimiter, secret: str
) -> AsyncIterator[Accounts]:
    from app.auth import local

    async with local.open_local_accounts(
        tables.accounts,
        limiter=limiter,
        invitations=open_invitations(tables, secret=secret),
        registration=settings.registration or "open",
        secret_key=secret,
        access_token_seconds=settings.access_token_expire_minutes * 60,
        clock=tables.clock,
    ) as accounts:
        yield accounts


@asynccontextmanager
async def open_firebase_accounts(settings: Settings) -> AsyncIterator[Accounts]:
    import httpx

    from app.auth import firebase

    async with (
        httpx.AsyncClient(timeout=_CALL_SECONDS) as client,
        firebase.open_firebase_accounts(
            client,
            project_id=settings.google_cloud_project or "",
            api_key=reveal(settings.firebase_api_key),
            emulator_host=settings.firebase_auth_emulator_host,
        ) as accounts,
    ):
        yield accounts
