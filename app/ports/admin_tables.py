"""Tables for operators. Methods may raise DependencyUnavailable, as in `ports.tables`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.domain.administration import AuditEntry, ServerKey


class OwnerIndex(Protocol):
    """The ids of all users, in an order that does not change, so that they can be listed page by page."""

    async def add_owner(self, owner_id: str) -> None:
        """Adding an owner again changes nothing."""
        ...

    async def page_owners(self, *, after: str | None, limit: int) -> Sequence[str]:
        """Return at most `limit` ids, starting after `after`."""
        ...

    async def has_owner(self, owner_id: str) -> bool: ...

    async def remove_owner(self, owner_id: str) -> None:
        """A missing owner is ignored."""
        ...


class ServerKeyTable(Protocol):
    async def add_key(self, key: ServerKey) -> None: ...

    async def find_key(self, key_id: str) -> ServerKey | None: ...

    async def keys(self) -> Sequence[ServerKey]:
        """Return all keys, the oldest first."""
        ...

    async def revoke_key(self, key_id: str, *, at: datetime) -> ServerKey | None:
        """Set `revoked_at` unless it is set. Return the key, or None if it is missing."""
        ...


class AuditTable(Protocol):
    """Entries are never changed, except by `forget_addresses`, and are deleted after their `expires_at`."""

    async def add_entry(self, entry: AuditEntry) -> None: ...

    async def page_entries(
        self, *, before: str | None, limit: int, owner_id: str | None = None
    ) -> tuple[Sequence[AuditEntry], str | None]:
        """Return at most `limit` entries, newest first, and where the next page starts, or None after the last one.

        Only entries with an id less than `before`; with `owner_id`, only those of this owner. A page may be empty
        although older entries exist: a call reads a bounded number of days. May miss entries of the last seconds.
        """
        ...

    async def forget_addresses(self, owner_id: str) -> None:
        """Remove the address from all entries of the owner."""
        ...
