"""The audit log: who did what to which account, image or key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import structlog

from app.domain.administration import AuditEntry
from app.domain.errors import CursorInvalid, DependencyUnavailable
from app.domain.ids import id_timestamp, is_id, new_id
from app.ports.admin_tables import AuditTable
from app.ports.clock import Clock

OPERATOR = "operator"
"""The actor of actions on the command line."""
SERVICE = "service"
"""The actor of what the service does by itself."""
_PAGE = 100
_CLOCK_SKEW = timedelta(days=1)

_log = structlog.stdlib.get_logger(__name__)


class AuditLog:
    def __init__(self, table: AuditTable, *, retention: timedelta, clock: Clock) -> None:
        """If `retention` is zero, nothing is recorded."""
        self._table = table
        self._retention = retention
        self._clock = clock

    async def record(
        self,
        action: str,
        *,
        actor: str,
        owner_id: str | None = None,
        target: str | None = None,
        address: str | None = None,
    ) -> None:
        """Add an entry about something that has happened. If the table does not respond, the entry is logged."""
        if not self._retention:
            return
        now = self._clock()
        entry = AuditEntry(new_id(), now, actor, action, owner_id, target, address, now + self._retention)
        try:
            await self._table.add_entry(entry)
        except DependencyUnavailable:
            # The action cannot be undone, so its request must not fail.
            _log.error(
                "audit.not_recorded", action=action, actor=actor, owner_id=owner_id, target=target, address=address
            )

    async def page(
        self, *, cursor: str | None, limit: int, owner_id: str | None = None
    ) -> tuple[Sequence[AuditEntry], str | None]:
        """Return entries, newest first, and the cursor of the next page, or None after the last one.

        A page may be empty although there are more. Raises CursorInvalid.
        """
        if cursor is not None and not is_id(cursor):
            raise CursorInvalid
        entries, following = await self._table.page_entries(before=cursor, limit=limit, owner_id=owner_id)
        oldest = self._clock() - self._retention - _CLOCK_SKEW
        return entries, following if following and id_timestamp(following) > oldest else None

    async def walk(self, *, owner_id: str | None = None) -> AsyncIterator[AuditEntry]:
        """Yield all entries, newest first."""
        cursor = None
        while True:
            entries, cursor = await self.page(cursor=cursor, limit=_PAGE, owner_id=owner_id)
            for entry in entries:
                yield entry
            if cursor is None:
                return

    async def forget_addresses(self, owner_id: str) -> None:
        """Remove the network addresses from the entries of a deleted account, so that only ids remain."""
        await self._table.forget_addresses(owner_id)
