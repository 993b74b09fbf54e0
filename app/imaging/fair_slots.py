"""A number of slots for which users wait in turn."""

from __future__ import annotations

import asyncio
from collections import deque

from app.domain.errors import Overloaded


class FairSlots:
    def __init__(self, slots: int, *, queue_limit: int) -> None:
        """At most `queue_limit` calls wait for a slot, and as many more of users of whom no other call waits."""
        self._free = slots
        self._queue_limit = queue_limit
        # The user who is next comes first. Each user with waiting calls has one entry.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._waiting_count = 0

    async def acquire(self, user_id: str) -> None:
        """Wait for a slot: users get the slots in turn, and the calls of a user in their order.

        Raises Overloaded immediately if too many calls wait.
        """
        if self._free:
            self._free -= 1
            return
        limit = self._queue_limit if user_id in self._waiting else 2 * self._queue_limit
        if self._waiting_count >= limit:
            raise Overloaded
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user_id, deque()).append(turn)
        self._waiting_count += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._remove(user_id, turn)
            else:
                self.release()  # The slot was assigned just before this call was canceled.
            raise

    def release(self) -> None:
        """Give the slot to the next user, or keep it free if no call waits."""
        if not self._waiting:
            self._free += 1
            return
        user_id = next(iter(self._waiting))
        turns = self._waiting.pop(user_id)
        turns.popleft().set_result(None)
        self._waiting_count -= 1
        if turns:
            self._waiting[user_id] = turns  # at the end: all other users come first

    def _remove(self, user_id: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting[user_id]
        turns.remove(turn)
        self._waiting_count -= 1
        if not turns:
            del self._waiting[user_id]
