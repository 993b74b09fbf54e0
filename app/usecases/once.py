"""Carries a request out at most once: a retry gets what the first try made, also when its answer was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from app.core.errors import AppError, IdempotencyKeyReused, RequestInProgress
from app.core.ids import new_id
from app.core.models import OnceRecord
from app.core.ports import OnceTable
from app.usecases.uploads import SETTLED_SECONDS

# A day, and the hour in which a direct upload may still arrive and be completed again.
KEPT = timedelta(hours=26)

T = TypeVar("T")
_log = structlog.stdlib.get_logger(__name__)


class Once:
    def __init__(self, table: OnceTable) -> None:
        self._table = table

    async def run(
        self,
        owner_id: str,
        key: str,
        *,
        fingerprint: str,
        find: Callable[[str], Awaitable[T | None]],
        make: Callable[[str], Awaitable[T]],
    ) -> T:
        """Return `make(id)` for an id of its own, or what an earlier call with this key and fingerprint made.

        `find(id)` returns what was made under an id, or None. Raises IdempotencyKeyReused for another fingerprint,
        RequestInProgress while another call is at it, and what `find` and `make` raise.
        """
        now = datetime.now(UTC)
        lease = now + timedelta(seconds=SETTLED_SECONDS)
        record = OnceRecord(owner_id, key, fingerprint, new_id(), done=False, leased_until=lease, expires_at=now + KEPT)
        there = await self._table.begin(record, now=now)
        if there is None:
            return await self._make(record, find, make)
        if there.fingerprint != fingerprint:
            raise IdempotencyKeyReused
        found = await find(there.result_id)
        if found is not None:
            return found
        if there.done:
            raise IdempotencyKeyReused("What this Idempotency-Key made was deleted since. Use a new one.")
        if not await self._table.take_over(record, from_result_id=there.result_id, now=now):
            raise RequestInProgress
        return await self._make(record, find, make)

    async def _make(
        self, record: OnceRecord, find: Callable[[str], Awaitable[T | None]], make: Callable[[str], Awaitable[T]]
    ) -> T:
        try:
            made = await make(record.result_id)
        except BaseException:
            await asyncio.shield(self._forget(record, find))
            raise
        try:
            await self._table.finish(record)
        except AppError as error:
            # It was made, and a retry will find it: only the note of that is missing.
            _log.warning("once.left_unfinished", cause=error.code)
        return made

    async def _forget(self, record: OnceRecord, find: Callable[[str], Awaitable[T | None]]) -> None:
        """Let the next try begin anew, unless something was made after all: then it has to be found."""
        try:
            if await find(record.result_id) is None:
                await self._table.abandon(record)
        except AppError as error:
            # Until the lease is over a retry is told to wait; then it looks again.
            _log.warning("once.left_unfinished", cause=error.code)
