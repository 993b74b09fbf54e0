"""A queue in the memory of this process. Its messages are lost with the process; the records of the jobs are not."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import structlog

from app.domain.errors import DependencyUnavailable
from app.domain.jobs import JobMessage

_MAX_RECEIVES = 5
_MAX_MESSAGES = 100_000
"""About 50 MB. If a message is refused, its job is found by its record."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Message:
    owner_id: str
    job_id: str
    traceparent: str | None
    receive_count: int = 0

    @property
    def job(self) -> tuple[str, str]:
        return self.owner_id, self.job_id


@dataclass(frozen=True, slots=True, eq=False)
class _Hidden:
    message: _Message
    timer: asyncio.TimerHandle


class LocalJobQueue:
    """Belongs to one event loop, whose timers make hidden and delayed messages visible."""

    def __init__(self, *, wait_seconds: float = 20, max_messages: int = _MAX_MESSAGES) -> None:
        self._wait_seconds = wait_seconds
        self._max_messages = max_messages
        # Contains each job only once, even if several messages were sent for it.
        self._ready: OrderedDict[tuple[str, str], _Message] = OrderedDict()
        self._delayed = 0
        self._hidden: dict[str, _Hidden] = {}
        self._receipts = count(1)
        self._is_any_ready = asyncio.Event()

    async def send(self, owner_id: str, job_id: str, *, delay_seconds: int = 0, traceparent: str | None = None) -> None:
        message = _Message(owner_id, job_id, traceparent)
        if message.job not in self._ready and self._size() >= self._max_messages:
            raise DependencyUnavailable("queue")
        if delay_seconds > 0:
            self._delayed += 1
            asyncio.get_running_loop().call_later(delay_seconds, self._end_delay, message)
        else:
            self._make_ready(message)

    async def receive(self, *, limit: int, visibility_timeout_seconds: int) -> Sequence[JobMessage]:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_seconds):
                while not self._ready:
                    await self._is_any_ready.wait()
        # Nothing is awaited from here on, so that a received message reaches the caller even after a cancellation.
        messages = [self._ready.popitem(last=False)[1] for _ in range(min(limit, len(self._ready)))]
        if not self._ready:
            self._is_any_ready.clear()
        return [self._deliver(message, visibility_timeout_seconds=visibility_timeout_seconds) for message in messages]

    async def change_visibility(self, message: JobMessage, *, timeout_seconds: int) -> None:
        if hidden := self._hidden.get(message.receipt):
            hidden.timer.cancel()
            if timeout_seconds > 0:
                self._hide(hidden.message, receipt=message.receipt, seconds=timeout_seconds)
            else:
                self._end_visibility_timeout(message.receipt)

    async def acknowledge(self, message: JobMessage) -> None:
        if hidden := self._hidden.pop(message.receipt, None):
            hidden.timer.cancel()

    async def depth(self) -> int:
        return len(self._ready)

    async def check(self) -> None:
        pass

    def _size(self) -> int:
        return len(self._ready) + self._delayed + len(self._hidden)

    def _make_ready(self, message: _Message) -> None:
        self._ready.setdefault(message.job, message)
        self._is_any_ready.set()

    def _end_delay(self, message: _Message) -> None:
        self._delayed -= 1
        self._make_ready(message)

    def _deliver(self, message: _Message, *, visibility_timeout_seconds: int) -> JobMessage:
        message.receive_count += 1
        receipt = str(next(self._receipts))
        self._hide(message, receipt=receipt, seconds=visibility_timeout_seconds)
        return JobMessage(message.owner_id, message.job_id, receipt, message.traceparent)

    def _hide(self, message: _Message, *, receipt: str, seconds: int) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, self._end_visibility_timeout, receipt)
        self._hidden[receipt] = _Hidden(message, timer)

    def _end_visibility_timeout(self, receipt: str) -> None:
        message = self._hidden.pop(receipt).message
        if message.receive_count < _MAX_RECEIVES:
            self._make_ready(message)
        else:
            _log.error("job.dropped", user_id=message.owner_id, job_id=message.job_id, received=message.receive_count)
