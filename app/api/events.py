"""Server-sent events about one record, until it is over: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Header, Request
from fastapi.sse import ServerSentEvent
from pydantic import BaseModel

from app.core.errors import AppError, Overloaded
from app.usecases.watching import watch

_STREAM_SECONDS = 300
_RETRY_MILLISECONDS = 2000
_MAX_STREAMS = 500
"""In one process; each asks for its record once a second."""

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", description="The id of the last event you have.")]

T = TypeVar("T", bound=BaseModel)


class Streams:
    """How many streams are open, and whether they should come to an end."""

    def __init__(self) -> None:
        self.open = 0
        self.stopping = False


async def events(
    request: Request,
    name: str,
    *,
    read: Callable[[], Awaitable[T]],
    is_over: Callable[[T], bool],
    last_event_id: str | None,
) -> AsyncIterator[ServerSentEvent]:
    """Yield what `read` returns, whenever it is new to the client, until it is over or cannot be read."""
    streams: Streams = request.app.state.streams
    streams.open += 1
    try:
        async for seen in watch(read, is_over=lambda one: is_over(one) or streams.stopping, seconds=_STREAM_SECONDS):
            data = seen.model_dump_json()
            event_id = hashlib.sha256(data.encode()).hexdigest()[:16]
            if event_id != last_event_id:
                yield ServerSentEvent(raw_data=data, event=name, id=event_id, retry=_RETRY_MILLISECONDS)
    except AppError as error:
        # Too late for a status: the client comes again, and is told then.
        yield ServerSentEvent(comment=error.code)
    finally:
        streams.open -= 1


async def require_place(request: Request) -> None:
    """Raises Overloaded."""
    if request.app.state.streams.open >= _MAX_STREAMS:
        raise Overloaded
