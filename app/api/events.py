"""Server-sent events that follow one record until it is final, and the limits on how many clients may follow.

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
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from fastapi.sse import ServerSentEvent
from pydantic_core import to_json

from app.api.dependencies import CurrentUser
from app.api.routing import is_head
from app.domain.errors import AppError, Overloaded
from app.jobs.polling import poll_changes

_STREAM_SECONDS = 300
_RETRY_MILLISECONDS = 2000
_MAX_WATCHERS = 500
_MAX_WATCHERS_PER_USER = 50

T = TypeVar("T")


def event_stream_of(model: type[object]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI response of a route that streams events whose `data` is a `model`.

    OpenAPI 3.1 cannot describe the items of a stream. Generators of clients take the schema as the type of `data`.
    """
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    description = f"Server-sent events. The `data` of each event is a `{model.__name__}` as JSON."
    return {200: {"description": description, "content": {"text/event-stream": {"schema": schema}}}}


class Watchers:
    """Limits the clients that follow a record in this process. Each of them causes about one read per second."""

    def __init__(self, *, can_stream: bool = True) -> None:
        """Without `can_stream`, each stream consists of the current value: clients have to reconnect to follow it."""
        self.stream_seconds = _STREAM_SECONDS if can_stream else 0
        self._watching: Counter[str] = Counter()
        self.stopping = False
        """Whether all streams should end, because the process is shutting down."""

    @contextmanager
    def slot(self, user_id: str) -> Iterator[None]:
        """Raises Overloaded."""
        if self._watching.total() >= _MAX_WATCHERS or self._watching[user_id] >= _MAX_WATCHERS_PER_USER:
            raise Overloaded("Too many clients are waiting for changes. Try again shortly.")
        self._watching[user_id] += 1
        try:
            yield
        finally:
            self._watching[user_id] -= 1
            self._watching += Counter()  # removes users without watchers

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Set `stopping` on a signal before the server handles it: the server waits until all streams have ended."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Only the main thread can handle signals.
            return
        previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def handle(number: int, frame: FrameType | None) -> None:
            self.stopping = True
            handler = previous[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            elif handler is signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)

        for number in previous:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


async def _watchers(request: Request) -> Watchers:
    watchers: Watchers = request.app.state.watchers
    return watchers


WatchersDep = Annotated[Watchers, Depends(_watchers)]


class EventStream:
    """The stream that one client receives."""

    def __init__(
        self,
        watchers: Watchers,
        last_event_id: str | None,
        *,
        authenticate: Callable[[], Awaitable[object]],
        is_head: bool,
    ) -> None:
        self._watchers = watchers
        self._authenticate = authenticate
        self._is_head = is_head
        self._last_event_id = last_event_id

    async def follow(
        self, name: str, read: Callable[[], Awaitable[T]], *, is_final: Callable[[T], bool]
    ) -> AsyncIterator[ServerSentEvent]:
        """Yield an event for each value of `read` that is new to the client, until one is final or `read` fails.

        The stream also ends when the session of its access token ends.
        """
        if self._is_head:
            return

        def is_last(value: T) -> bool:
            return is_final(value) or self._watchers.stopping

        async def read_authenticated() -> T:
            await self._authenticate()
            return await read()

        try:
            seconds = self._watchers.stream_seconds
            async for value in poll_changes(read_authenticated, is_final=is_last, seconds=seconds):
                data = to_json(value)
                event_id = hashlib.sha256(data).hexdigest()[:16]
                if event_id != self._last_event_id:
                    yield ServerSentEvent(raw_data=data.decode(), event=name, id=event_id, retry=_RETRY_MILLISECONDS)
                elif not seconds:
                    yield ServerSentEvent(comment="unchanged", retry=_RETRY_MILLISECONDS)
        except AppError as error:
            # The status was already sent. The client reconnects and then receives the error.
            yield ServerSentEvent(comment=error.code)


async def _event_stream(
    request: Request,
    watchers: WatchersDep,
    user: CurrentUser,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="The id of the last event that the client received.")
    ] = None,
) -> AsyncIterator[EventStream]:
    """Hold a slot until the response has been sent. Raises Overloaded."""
    with watchers.slot(user.id):
        yield EventStream(
            watchers,
            last_event_id,
            authenticate=request.state.authenticate,
            is_head=is_head(request),
        )


EventStreamDep = Annotated[EventStream, Depends(_event_stream)]
