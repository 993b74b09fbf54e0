"""Server keys: tokens with which other servers call the API."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence

from cachetools import TTLCache

from app.domain.administration import Scope, ServerKey
from app.domain.errors import ServerKeyInvalid, ServerKeyMissing
from app.domain.ids import is_id, new_id
from app.ports.admin_tables import ServerKeyTable
from app.ports.clock import Clock

TOKEN_PREFIX = "isk_"
_TOKEN = re.compile(rf"{TOKEN_PREFIX}([0-9a-f-]{{36}})_([A-Za-z0-9_-]{{43}})")
_CACHE_SECONDS = 5
"""How long this process may still accept a key after it was revoked."""
_MAX_CACHED = 1000


class ServerKeys:
    def __init__(self, table: ServerKeyTable, *, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._valid: TTLCache[str, ServerKey] = TTLCache(_MAX_CACHED, ttl=_CACHE_SECONDS)

    async def create(self, name: str, scopes: Sequence[Scope]) -> tuple[ServerKey, str]:
        """Return a new key and its token, which cannot be shown again."""
        key_id = new_id()
        token = f"{TOKEN_PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        key = ServerKey(key_id, name, tuple(scopes), _hash(token), self._clock())
        await self._table.add_key(key)
        return key, token

    async def keys(self) -> Sequence[ServerKey]:
        return await self._table.keys()

    async def revoke(self, key_id: str) -> ServerKey:
        """Raises ServerKeyMissing."""
        key = await self._table.revoke_key(key_id, at=self._clock()) if is_id(key_id) else None
        if key is None:
            raise ServerKeyMissing
        return key

    async def authenticate(self, token: str) -> ServerKey:
        """Return the key of a token. Raises ServerKeyInvalid."""
        digest = _hash(token)
        if digest in self._valid:
            return self._valid[digest]
        match = _TOKEN.fullmatch(token)
        key = await self._table.find_key(match[1]) if match else None
        if key is None or key.revoked_at or not hmac.compare_digest(key.token_hash, digest):
            raise ServerKeyInvalid
        self._valid[digest] = key
        return key


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
