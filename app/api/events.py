"""Watching one record until it is over: server-sent events, and who may watch.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import hashlib
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request
from fastapi.sse import ServerSentEvent
from pydantic import BaseModel

from app.api.deps import CurrentUser
from app.core.errors import AppError, Overloaded
from app.usecases.watching import watch

_STREAM_SECONDS = 300
_RETRY_MILLISECONDS = 2000
_MAX_WATCHERS = 500
_MAX_WATCHERS_PER_USER = 50

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", description="The id of the last event you have.")]

T = TypeVar("T", bound=BaseModel)


class Watchers:
    """Who is watching something in this process: each of them asks for its record once a second."""

    def __init__(self) -> None:
        self._watching: Counter[str] = Counter()
        self.stopping = False
        """Whether all of them should come to an end."""

    @contextmanager
    def place(self, user_id: str) -> Iterator[None]:
        """Raises Overloaded."""
        if self._watching.total() >= _MAX_WATCHERS or self._watching[user_id] >= _MAX_WATCHERS_PER_USER:
            raise Overloaded("Too much is being watched at once. Try again in a moment.")
        self._watching[user_id] += 1
        try:
            yield
        finally:
            self._watching[user_id] -= 1
            self._watching += Counter()  # without those who have none

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Note a signal to stop before the server sees it, which otherwise waits for as long as anybody watches."""
        if threading.current_thread() is not threading.main_thread():
            yield  # no signal can be handled there
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def handle(number: int, frame: FrameType | None) -> None:
            self.stopping = True
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            elif handler is signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)

        for number in before:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def watchers(request: Request) -> Watchers:
    found: Watchers = request.app.state.watchers
    return found


AllWatchers = Annotated[Watchers, Depends(watchers)]


async def place(found: AllWatchers, user: CurrentUser) -> AsyncIterator[None]:
    """Held until the answer has been sent."""
    with found.place(user.id):
        yield


async def events(
    watching: Watchers,
    name: str,
    *,
    read: Callable[[], Awaitable[T]],
    is_over: Callable[[T], bool],
    last_event_id: str | None,
) -> AsyncIterator[ServerSentEvent]:
    """Yield what `read` returns, whenever it is new to the client, until it is over or cannot be read."""
    try:
        async for seen in watch(read, is_over=lambda one: is_over(one) or watching.stopping, seconds=_STREAM_SECONDS):
            data = seen.model_dump_json()
            event_id = hashlib.sha256(data.encode()).hexdigest()[:16]
            if event_id != last_event_id:
                yield ServerSentEvent(raw_data=data, event=name, id=event_id, retry=_RETRY_MILLISECONDS)
    except AppError as error:
        # Too late for a status: the client comes again, and is told then.
        yield ServerSentEvent(comment=error.code)
