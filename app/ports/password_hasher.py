"""Hashes of passwords."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class PasswordHasher(Protocol):
    def slot(self) -> AbstractContextManager[None]:
        """Occupy a slot of the queue, for a call of the other methods. Raises Overloaded if none is free."""
        ...

    async def hash(self, password: str) -> str: ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether `password` matches the hash. Without a hash, return False after the same amount of work."""
        ...
