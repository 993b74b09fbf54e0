"""The credentials that sign URLs and forms, with the time at which they expire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.errors import DependencyUnavailable

_EARLY_SECONDS = 14 * 60
"""How long before the credentials expire newer ones are requested. The SDK refreshes them if fewer than 15 minutes are
left by this machine's clock, which may differ slightly from that of S3."""
_INTERVAL_SECONDS = 60
"""AWS may have no newer credentials until 5 minutes before the present ones expire. They are requested this often."""
_REFRESH_SECONDS = 15
"""The time limit of a refresh, all attempts of the SDK included."""


@dataclass(frozen=True, slots=True)
class SigningCredentials:
    access_key: str
    secret_key: str
    token: str | None = None
    expires_at: int | None = None
    """Unix time. None if the credentials do not expire, or if their end is unknown."""


class SdkKeys(Protocol):
    """Keys as botocore returns them. Its types allow None, but loaded credentials have both keys."""

    @property
    def access_key(self) -> str | None: ...
    @property
    def secret_key(self) -> str | None: ...
    @property
    def token(self) -> str | None: ...


class SdkCredentials(Protocol):
    async def get_frozen_credentials(self) -> SdkKeys:
        """Return the keys. If they expire soon, every call requests newer ones."""
        ...


class SharedCredentials:
    """Requests newer credentials once for all URLs, instead of once for each URL as the SDK would."""

    def __init__(self, source: SdkCredentials) -> None:
        self._source = source
        self._current: SigningCredentials | None = None
        self._refresh_at = 0.0
        self._refresh: asyncio.Task[SigningCredentials] | None = None

    async def get(self, now: float) -> SigningCredentials:
        """Return credentials that are valid at `now` (Unix time). It is the same object until they are refreshed.

        Raises DependencyUnavailable if a refresh that is due fails.
        """
        if self._current is not None and now < self._refresh_at:
            return self._current
        if self._refresh is None:
            self._refresh = asyncio.create_task(self._load(now))
            self._refresh.add_done_callback(self._end_refresh)
        # Shielded, because other requests may wait for the same refresh.
        return await asyncio.shield(self._refresh)

    def _end_refresh(self, refresh: asyncio.Task[SigningCredentials]) -> None:
        self._refresh = None
        if not refresh.cancelled():
            refresh.exception()  # Otherwise asyncio would log the error if no request waits for it any more.

    async def _load(self, now: float) -> SigningCredentials:
        try:
            async with asyncio.timeout(_REFRESH_SECONDS):
                keys = await self._source.get_frozen_credentials()
        except Exception as error:  # Each source of credentials has errors of its own.
            raise DependencyUnavailable("store") from error
        loaded = SigningCredentials(keys.access_key or "", keys.secret_key or "", keys.token, _expiry_of(self._source))
        if loaded.expires_at is None:
            self._refresh_at = float("inf")
        elif loaded.expires_at <= now:
            raise DependencyUnavailable("store") from RuntimeError("The AWS credentials have expired.")
        else:
            early = max(loaded.expires_at - _EARLY_SECONDS, now + _INTERVAL_SECONDS)
            self._refresh_at = min(early, loaded.expires_at)
        self._current = loaded
        return loaded


def _expiry_of(source: SdkCredentials) -> int | None:
    # botocore has no public attribute for it. Credentials that do not expire lack this one.
    expiry: datetime | None = getattr(source, "_expiry_time", None)
    return None if expiry is None else int(expiry.timestamp())
