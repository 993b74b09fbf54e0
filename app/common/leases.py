"""Leases: one process at a time does something that may be repeated, but need not be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from app.domain.claims import IdempotencyRecord
from app.domain.errors import AppError
from app.domain.ids import new_id
from app.ports.clock import Clock
from app.ports.tables import IdempotencyTable


class Leases:
    """Leases are records of the idempotency table. Their keys begin with a line break, as no client's key can."""

    def __init__(self, table: IdempotencyTable, *, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    @asynccontextmanager
    async def held(self, owner_id: str, name: str, *, seconds: int) -> AsyncIterator[bool]:
        """Yield whether this call holds the lease, which ends after the block, or `seconds` from now at the latest.

        Raises DependencyUnavailable.
        """
        now = self._clock()
        ends_at = now + timedelta(seconds=seconds)
        lease = IdempotencyRecord(
            owner_id, f"\n{name}", "lease", new_id(), done=False, leased_until=ends_at, expires_at=ends_at
        )
        is_held = await self._table.begin(lease, now=now) is None
        try:
            yield is_held
        finally:
            if is_held:
                with suppress(AppError):  # The lease then ends by its time.
                    await self._table.abandon(lease)
