"""The records of shares. Methods may raise DependencyUnavailable, as in `ports.tables`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from app.domain.shares import Share


class ShareTable(Protocol):
    async def add_share(self, share: Share) -> None: ...

    async def find_share(self, share_id: str) -> Share | None:
        """Return a share of any owner."""
        ...

    async def page_shares(self, owner_id: str, *, before: str | None, limit: int) -> Sequence[Share]:
        """Return at most `limit` shares, newest first, starting after the id `before`. Costs one query."""
        ...

    async def edit_share(self, owner_id: str, share_id: str, *, changes: Mapping[str, object]) -> Share | None:
        """Set fields, and return the updated share, or None if the owner has no such share.

        Concurrent edits of different fields do not undo each other.
        """
        ...

    async def remove_share(self, owner_id: str, share_id: str) -> bool:
        """Return whether the owner had such a share."""
        ...

    async def remove_shares(self, owner_id: str) -> None:
        """Remove all shares of the owner."""
        ...
