"""Handles a request with an idempotency key at most once: a retry gets the result of the first request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from app.domain.claims import ClaimLost, IdempotencyRecord, RequestClaim
from app.domain.errors import AppError, IdempotencyKeyReused, RequestInProgress
from app.domain.ids import new_id
from app.ports.clock import Clock
from app.ports.tables import IdempotencyTable

RETENTION = timedelta(hours=26)
"""A day, and two more hours, because a direct upload that was initiated last may still arrive and be completed."""
LEASE_SECONDS = 12
"""How long a request may go without renewing its lease before a retry takes over."""
_RENEWALS_PER_LEASE = 3
_POLL_SECONDS = 0.5

T = TypeVar("T")
Find = Callable[[str], Awaitable[T | None]]
Create = Callable[[RequestClaim], Awaitable[T]]
_log = structlog.stdlib.get_logger(__name__)


class Idempotency:
    def __init__(self, table: IdempotencyTable, *, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def run(self, owner_id: str, key: str, *, fingerprint: str, find: Find[T], create: Create[T]) -> T:
        """Return the result of `create(claim)`, or of an earlier call with this key and fingerprint.

        `create` creates something with the id `claim.result_id` in a write that requires the claim (`ImageTable.add`).
        `find(id)` returns what was created under an id, or None. Raises IdempotencyKeyReused for another fingerprint,
        RequestInProgress while another call is running, and what `find` and `create` raise.
        """
        now = self._clock()
        record = IdempotencyRecord(
            owner_id, key, fingerprint, new_id(), done=False, leased_until=self._lease_end(), expires_at=now + RETENTION
        )
        while (seen := await self._table.begin(record, now=now)) is not None:
            if seen.fingerprint != fingerprint:
                raise IdempotencyKeyReused
            found = await find(seen.result_id)
            if found is not None:
                return found
            if seen.done:
                raise IdempotencyKeyReused(
                    "The result of this Idempotency-Key was deleted since. Use a new Idempotency-Key."
                )
            if await self._is_abandoned(seen) and await self._table.take_over(record, seen=seen):
                break
        return await self._create(record, find, create)

    async def find(self, owner_id: str, key: str) -> IdempotencyRecord | None:
        """Return the record of the first request with this key, which may still be in progress."""
        return await self._table.find(owner_id, key)

    async def _is_abandoned(self, seen: IdempotencyRecord) -> bool:
        """Return True if the record stays unchanged for a whole lease by this process's own monotonic clock.

        Returns False as soon as the record is gone or done. Raises RequestInProgress as soon as it was renewed.
        """
        if seen.leased_until > self._lease_end() + timedelta(seconds=LEASE_SECONDS):
            # An earlier version of the service wrote it. Those leases last minutes and are not renewed.
            raise RequestInProgress
        loop = asyncio.get_running_loop()
        unchanged_until = loop.time() + LEASE_SECONDS
        while loop.time() < unchanged_until:
            await asyncio.sleep(_POLL_SECONDS)
            current = await self._table.find(seen.owner_id, seen.key)
            if current is None or current.done:
                return False
            if current != seen:
                raise RequestInProgress
        return True

    async def _create(self, record: IdempotencyRecord, find: Find[T], create: Create[T]) -> T:
        renewal = asyncio.create_task(self._renew(record))
        try:
            created = await create(record.claim)
        except ClaimLost:
            raise RequestInProgress from None
        except BaseException:
            await asyncio.shield(self._abandon(record, find))
            raise
        finally:
            renewal.cancel()
        try:
            await self._table.finish(record)
        except AppError as error:
            # The result exists, and a retry will find it. Only the record is not marked done.
            _log.warning("idempotency.left_unfinished", cause=error.code)
        return created

    async def _renew(self, record: IdempotencyRecord) -> None:
        """Renew the lease until it is lost. The write that creates the result detects that it was lost."""
        is_held = True
        while is_held:
            await asyncio.sleep(LEASE_SECONDS / _RENEWALS_PER_LEASE)
            try:
                is_held = await self._table.renew(record, leased_until=self._lease_end())
            except AppError as error:
                _log.warning("idempotency.lease_not_renewed", cause=error.code)

    async def _abandon(self, record: IdempotencyRecord, find: Find[T]) -> None:
        """Let the next retry start over, unless the result was created despite the error."""
        try:
            if await find(record.result_id) is None:
                await self._table.abandon(record)
        except AppError as error:
            # Retries are told to wait until the lease ends. Then they look for the result again.
            _log.warning("idempotency.left_unfinished", cause=error.code)

    def _lease_end(self) -> datetime:
        return self._clock() + timedelta(seconds=LEASE_SECONDS)
