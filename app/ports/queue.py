"""The queue of background jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.domain.jobs import JobMessage

MAX_DELAY_SECONDS = 900


class JobQueue(Protocol):
    """Delivers messages at least once, in no particular order.

    The semantics are those of SQS: a received message is invisible until its visibility timeout ends, and is delivered
    again unless it was acknowledged. Every method may raise DependencyUnavailable once its retries are exhausted.
    """

    async def send(self, owner_id: str, job_id: str, *, delay_seconds: int = 0, traceparent: str | None = None) -> None:
        """Send a message. `delay_seconds` is at most 900. `traceparent` is delivered with the message."""
        ...

    async def receive(self, *, limit: int, visibility_timeout_seconds: int) -> Sequence[JobMessage]:
        """Return at most `limit` (1 to 10) messages. Waits some seconds for a message; may return none.

        A message that was received five times and never acknowledged moves to the dead-letter queue, or is dropped if
        there is none.
        """
        ...

    async def change_visibility(self, message: JobMessage, *, timeout_seconds: int) -> None:
        """Make the message visible again `timeout_seconds` from now. An expired receipt is ignored."""
        ...

    async def acknowledge(self, message: JobMessage) -> None:
        """Delete the message. An expired receipt is ignored."""
        ...

    async def depth(self) -> int:
        """Return the approximate number of visible messages."""
        ...

    async def check(self) -> None:
        """Return if the queue exists and responds."""
        ...
