"""Decides whether an access token may be used: its signature, its session, and its account."""

from __future__ import annotations

import asyncio

from cachetools import TTLCache

from app.domain.accounts import User
from app.domain.errors import OwnerClosed
from app.ports.admin_tables import OwnerIndex
from app.ports.auth import Accounts
from app.ports.tables import OwnerTable

_CACHE_SECONDS = 5
"""How long this process may still accept a token after another process ended its session or closed its account."""
_INDEXED_SECONDS = 86_400
_MAX_CACHED = 10_000


class Authentication:
    def __init__(self, *, accounts: Accounts, owners: OwnerTable, owner_index: OwnerIndex) -> None:
        self._accounts = accounts
        self._owners = owners
        self._owner_index = owner_index
        self._indexed: TTLCache[str, bool] = TTLCache(_MAX_CACHED, ttl=_INDEXED_SECONDS)
        self._active: TTLCache[str, set[str | None]] = TTLCache(_MAX_CACHED, ttl=_CACHE_SECONDS)
        """For each user, the ids of the sessions that were found active. None stands for a token without a session."""

    async def authenticate(self, access_token: str) -> User:
        """Return the user. Raises what `Accounts.authenticate` and `Accounts.require_active` raise, and OwnerClosed."""
        user = await self._accounts.authenticate(access_token)
        if user.session_id not in self._active.get(user.id, ()):
            await asyncio.gather(self._accounts.require_active(user, access_token), self.require_open(user.id))
            await self.index(user.id)
            self._active.setdefault(user.id, set()).add(user.session_id)
        return user

    async def require_open(self, user_id: str) -> None:
        """Raises OwnerClosed if the account of the user was closed."""
        if await self._owners.is_blocked(user_id):
            raise OwnerClosed

    async def index(self, user_id: str) -> None:
        """Add the user to the list for operators. Each process does this at most once a day for each user."""
        if user_id not in self._indexed:
            await self._owner_index.add_owner(user_id)
            self._indexed[user_id] = True

    def forget(self, user_id: str) -> None:
        """Forget which sessions are active, because a session has ended or the account was closed."""
        self._active.pop(user_id, None)
        self._indexed.pop(user_id, None)
