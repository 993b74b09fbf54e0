"""Carries out a request with an idempotency key at most once: a retry gets the result of the first try."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from app.core.clock import Clock
from app.core.errors import AppError, IdempotencyKeyReused, RequestInProgress
from app.core.ids import new_id
from app.core.models import ClaimLost, OnceRecord, RequestClaim
from app.core.ports import OnceTable

# A day, and the hour in which a direct upload may still arrive and be completed again.
KEPT = timedelta(hours=26)
LEASE_SECONDS = 12
"""How long a request may go without renewing its lease before a retry takes over."""
_RENEWALS = 3
"""Within one lease."""
_POLL_SECONDS = 0.5

T = TypeVar("T")
Find = Callable[[str], Awaitable[T | None]]
Make = Callable[[RequestClaim], Awaitable[T]]
_log = structlog.stdlib.get_logger(__name__)


class Once:
    def __init__(self, table: OnceTable, *, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def run(self, owner_id: str, key: str, *, fingerprint: str, find: Find[T], make: Make[T]) -> T:
        """Return what `make(claim)` made, or what an earlier call with this key and fingerprint made.

        `make` creates something with the id `claim.result_id`, in a write that holds the claim (`ImageTable.add`).
        `find(id)` returns what was made under an id, or None. Raises IdempotencyKeyReused for another fingerprint,
        RequestInProgress while another call is at it, and what `find` and `make` raise.
        """
        now = self._clock()
        record = OnceRecord(
            owner_id, key, fingerprint, new_id(), done=False, leased_until=self._lease_end(), expires_at=now + KEPT
        )
        while (seen := await self._table.begin(record, now=now)) is not None:
            if seen.fingerprint != fingerprint:
                raise IdempotencyKeyReused
            found = await find(seen.result_id)
            if found is not None:
                return found
            if seen.done:
                raise IdempotencyKeyReused("What this Idempotency-Key made was deleted since. Use a new one.")
            if await self._is_abandoned(seen) and await self._table.take_over(record, seen=seen):
                break
        return await self._make(record, find, make)

    async def _is_abandoned(self, seen: OnceRecord) -> bool:
        """Return True if the record stays unchanged for a whole lease, by this process's own monotonic clock.

        Returns False once the record has gone or is done. Raises RequestInProgress once it was renewed.
        """
        if seen.leased_until > self._lease_end() + timedelta(seconds=LEASE_SECONDS):
            # Of a process that runs an earlier version: those lease for minutes and do not renew.
            raise RequestInProgress
        loop = asyncio.get_running_loop()
        unchanged_until = loop.time() + LEASE_SECONDS
        while loop.time() < unchanged_until:
            await asyncio.sleep(_POLL_SECONDS)
            there = await self._table.find(seen.owner_id, seen.key)
            if there is None or there.done:
                return False
            if there != seen:
                raise RequestInProgress
        return True

    async def _make(self, record: OnceRecord, find: Find[T], make: Make[T]) -> T:
        renewal = asyncio.create_task(self._renew(record))
        try:
            made = await make(record.claim)
        except ClaimLost:
            raise RequestInProgress from None
        except BaseException:
            await asyncio.shield(self._forget(record, find))
            raise
        finally:
            renewal.cancel()
        try:
            await self._table.finish(record)
        except AppError as error:
            # The result exists, and a retry will find it: only the note of that is missing.
            _log.warning("once.left_unfinished", cause=error.code)
        return made

    async def _renew(self, record: OnceRecord) -> None:
        """Renew the lease until it is lost. The write that creates the result finds out if it was."""
        is_held = True
        while is_held:
            await asyncio.sleep(LEASE_SECONDS / _RENEWALS)
            try:
                is_held = await self._table.renew(record, leased_until=self._lease_end())
            except AppError as error:
                _log.warning("once.lease_not_renewed", cause=error.code)

    async def _forget(self, record: OnceRecord, find: Find[T]) -> None:
        """Let the next try begin anew, unless something was made after all: then it has to be found."""
        try:
            if await find(record.result_id) is None:
                await self._table.abandon(record)
        except AppError as error:
            # A retry is told to wait until the lease has run out; then it looks again.
            _log.warning("once.left_unfinished", cause=error.code)

    def _lease_end(self) -> datetime:
        return self._clock() + timedelta(seconds=LEASE_SECONDS)
