"""A proxy between the service and an AWS emulator that makes some of the calls fail, as networks and vendors do.

One address is shared by all three dependencies: a request's X-Amz-Target says which of them it is meant for.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from urllib.parse import urlsplit

_XML = b'<?xml version="1.0"?><Error><Code>%b</Code><Message>Try again.</Message></Error>'
_JSON = b'{"__type": "%b", "message": "Try again."}'
_CODES = {500: (b"InternalError", b"InternalServerError"), 503: (b"SlowDown", b"ServiceUnavailable")}


class Fault(Enum):
    ERROR_500 = auto()
    ERROR_503 = auto()
    CLOSED_BEFORE = auto()
    """The request is not forwarded."""
    CLOSED_AFTER = auto()
    """The request is executed, and the response is lost."""
    SILENT = auto()
    """There is no response, and the connection stays open."""


_STATUSES = {Fault.ERROR_500: 500, Fault.ERROR_503: 503}
_OF_A_SHAKY_ONE = (Fault.ERROR_500, Fault.ERROR_503, Fault.CLOSED_BEFORE, Fault.CLOSED_AFTER)
_OF_AN_OUTAGE = (*[Fault.ERROR_500, Fault.ERROR_503, Fault.CLOSED_BEFORE] * 3, Fault.SILENT)
_SILENT_SECONDS = 60
"""Longer than any client waits."""


class FaultProxy:
    """`shares` may be changed at any time: the share of calls that fail, by `store`, `table` or `queue`."""

    def __init__(self, upstream: str, *, seed: int) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname, address.port)
        self._chance = random.Random(seed)
        self._connections: set[asyncio.Task[None]] = set()
        self.shares: dict[str, float] = {}
        self.passed: Counter[str] = Counter()
        self.failed: Counter[tuple[str, Fault]] = Counter()
        self._faulty: Counter[tuple[str, bool]] = Counter()
        self.url = ""

    @contextmanager
    def listening(self) -> Iterator[FaultProxy]:
        """Serve from a separate thread, so that the caller may block."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), loop).result(10)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._close(server), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 20)

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Respond to one request. The client opens another connection for the next one."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            headers = _headers(head)
            request = head + await reader.readexactly(int(headers.get("content-length", 0)))
            answer = await self._answer(_dependency(headers), request)
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # one side has disconnected
        finally:
            writer.close()

    async def _answer(self, dependency: str, request: bytes) -> bytes:
        fault = self._choose(dependency)
        if fault is None:
            self.passed[dependency] += 1
            return await self._pass_on(request)
        self.failed[dependency, fault] += 1
        if fault is Fault.CLOSED_AFTER:
            await self._pass_on(request)
        if fault is Fault.SILENT:
            await asyncio.sleep(_SILENT_SECONDS)
        if fault in _STATUSES:
            return _error(_STATUSES[fault], dependency)
        return b""

    def have_occurred(self, dependency: str, *, share: float) -> bool:
        """Return whether each fault of this share has occurred."""
        return all(self.failed[dependency, fault] for fault in _faults(share))

    def _choose(self, dependency: str) -> Fault | None:
        share = self.shares.get(dependency, 0)
        if self._chance.random() >= share:
            return None
        # The faults alternate, so that each occurs even if a slow machine sends few requests.
        self._faulty[dependency, share == 1] += 1
        faults = _faults(share)
        return faults[self._faulty[dependency, share == 1] % len(faults)]

    async def _pass_on(self, request: bytes) -> bytes:
        """Return the whole response, which ends with the connection."""
        reader, writer = await asyncio.open_connection(*self._upstream)
        try:
            line, _, rest = request.partition(b"\r\n")
            writer.write(line + b"\r\nConnection: close\r\n" + rest)
            await writer.drain()
            answer = await reader.read()
        finally:
            writer.close()
        line, _, rest = answer.partition(b"\r\n")
        return line + b"\r\nConnection: close\r\n" + rest


def _faults(share: float) -> Sequence[Fault]:
    return _OF_AN_OUTAGE if share == 1 else _OF_A_SHAKY_ONE


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def _dependency(headers: dict[str, str]) -> str:
    service = headers.get("x-amz-target", "").partition(".")[0].partition("_")[0]
    return {"DynamoDB": "table", "AmazonSQS": "queue"}.get(service, "store")


def _error(status: int, dependency: str) -> bytes:
    for_store, for_others = _CODES[status]
    body = _XML % for_store if dependency == "store" else _JSON % for_others
    content_type = "application/xml" if dependency == "store" else "application/x-amz-json-1.0"
    head = f"HTTP/1.1 {status} -\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body
