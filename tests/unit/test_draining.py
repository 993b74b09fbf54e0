"""Tests of the drain middleware: the order in which the server gets the response and the body, and each limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import draining
from app.api.draining import DrainMiddleware
from tests.unit.waiting import wait_until

KIB = 1024
CHUNK: Message = {"type": "http.request", "body": bytes(KIB), "more_body": True}
LAST_CHUNK: Message = {"type": "http.request", "body": b"", "more_body": False}
DISCONNECT: Message = {"type": "http.disconnect"}


def refuse(status: int = 401) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("no", status)(scope, receive, send)

    return app


def middleware(app: ASGIApp, **changes: Any) -> DrainMiddleware:
    limits = {"max_bytes": KIB * KIB, "max_seconds": 3600, "max_connections": 64, "is_stopping": lambda: False}
    return DrainMiddleware(app, **{**limits, **changes})


class Client:
    """One request. `events` contains, in order, the messages that were sent and the numbers of bytes received."""

    def __init__(self, *messages: Message, headers: dict[str, str] | None = None) -> None:
        headers = {"content-length": "1000000"} if headers is None else headers
        self.scope = {"type": "http", "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
        self.messages = list(messages)
        self.arrived = asyncio.Event()
        self.events: list[Message | int] = []

    async def receive(self) -> Message:
        """Return the messages in turn, and the last one repeatedly. Without messages, wait for `send_rest`."""
        await asyncio.sleep(0)
        if not self.messages:
            await self.arrived.wait()
        message = self.messages.pop(0) if len(self.messages) > 1 else self.messages[0]
        self.events.append(len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        self.events.append(message)

    def send_rest(self, message: Message) -> None:
        self.messages = [message]
        self.arrived.set()

    async def request(self, app: ASGIApp) -> None:
        await app(self.scope, self.receive, self.send)

    @property
    def sent(self) -> list[Message]:
        return [event for event in self.events if not isinstance(event, int)]

    @property
    def drained(self) -> int:
        return sum(event for event in self.events if isinstance(event, int))

    @property
    def is_closed(self) -> bool:
        """Whether the end of the response was sent, after which the server closes the connection."""
        return self.sent[-1:] == [{"type": "http.response.body", "body": b"", "more_body": False}]


async def test_the_response_is_sent_before_the_body_is_drained_and_its_end_afterwards():
    client = Client(CHUNK, CHUNK, LAST_CHUNK)
    await client.request(middleware(refuse()))
    start, body, *received, end = client.events
    assert isinstance(start, dict)
    assert (b"content-length", b"2") in start["headers"]
    assert (b"connection", b"close") in start["headers"]
    assert body == {"type": "http.response.body", "body": b"no", "more_body": True}
    assert received == [KIB, KIB, 0]
    assert end == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_the_application_has_finished_before_the_connection_is_drained():
    client = Client(CHUNK, LAST_CHUNK)
    drained_by_then: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("no", 401)(scope, receive, send)
        drained_by_then.append(client.drained)

    await client.request(middleware(app))
    assert (drained_by_then, client.drained) == ([0], KIB)


@pytest.mark.parametrize("headers", [{}, {"content-length": "0"}])
async def test_the_response_to_a_request_without_a_body_is_not_changed(headers: dict[str, str]):
    client = Client(headers=headers)
    await client.request(middleware(refuse()))
    assert [event["type"] for event in client.sent] == ["http.response.start", "http.response.body"]
    assert client.sent[0]["headers"] == PlainTextResponse("no").raw_headers
    assert client.sent[1] == {"type": "http.response.body", "body": b"no"}


async def test_the_response_after_a_completely_read_body_is_not_changed():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await PlainTextResponse("read")(scope, receive, send)

    client = Client(CHUNK, LAST_CHUNK, headers={"transfer-encoding": "chunked"})
    await client.request(middleware(app))
    assert client.sent[0]["headers"] == PlainTextResponse("read").raw_headers
    assert client.sent[1] == {"type": "http.response.body", "body": b"read"}


async def test_a_streaming_response_is_not_delayed_except_for_its_end():
    async def parts() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # Since version 2.4 of the protocol, the response itself does not wait for a disconnection.
        await StreamingResponse(parts())({**scope, "asgi": {"spec_version": "2.4"}}, receive, send)

    client = Client(CHUNK, LAST_CHUNK)
    await client.request(middleware(app))
    _, *parts_sent, last, _, _, _ = client.events
    assert [part["body"] for part in parts_sent if isinstance(part, dict)] == [b"a", b"b"]
    assert last == {"type": "http.response.body", "body": b"", "more_body": True}
    assert client.is_closed


async def test_draining_ends_after_the_limit_in_bytes():
    client = Client(CHUNK)
    await client.request(middleware(refuse(413), max_bytes=10 * KIB))
    assert client.drained == 11 * KIB  # The message that exceeds the limit is the last one.
    assert client.is_closed


async def test_a_client_that_disconnects_ends_the_draining():
    client = Client(CHUNK, DISCONNECT)
    await client.request(middleware(refuse()))
    assert client.drained == KIB


@pytest.mark.parametrize("messages", [(), (CHUNK,)], ids=["silent", "sending"])
async def test_draining_ends_after_the_limit_in_seconds(messages: tuple[Message, ...]):
    client = Client(*messages)
    await client.request(middleware(refuse(), max_seconds=0.05, max_bytes=KIB**4))
    assert client.is_closed


async def test_connections_over_the_limit_are_not_drained():
    app = middleware(refuse(), max_connections=1)
    first, second, third = Client(), Client(CHUNK), Client(CHUNK, LAST_CHUNK)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first.request(app))
        await wait_until(lambda: len(first.sent) == 2)
        await second.request(app)
        assert (second.drained, second.is_closed, first.is_closed) == (0, True, False)
        first.send_rest(LAST_CHUNK)
    assert first.is_closed
    await third.request(app)
    assert (third.drained, third.is_closed) == (KIB, True)


async def test_draining_is_shorter_after_a_body_that_was_too_slow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(draining, "_SLOW_BODY_SECONDS", 0)
    client = Client(CHUNK)
    await client.request(middleware(refuse(408), max_bytes=KIB**4))
    assert client.is_closed


async def test_a_stopping_service_ends_the_draining(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(draining, "_STOPPING_SECONDS", 0)
    client, stopping = Client(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.request(middleware(refuse(), is_stopping=stopping.is_set)))
        await wait_until(lambda: len(client.sent) == 2)
        stopping.set()
    assert client.is_closed


async def test_canceled_draining_closes_the_connection():
    client = Client()
    task = asyncio.create_task(client.request(middleware(refuse())))
    await wait_until(lambda: len(client.sent) == 2)
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert client.is_closed
