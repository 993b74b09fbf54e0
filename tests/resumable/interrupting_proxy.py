"""A TCP proxy between a client and the service. When enough bytes have passed, it interrupts: see `interrupting`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

Interruption = tuple[int, Callable[[], None]]
"""How many bytes from the client have to pass before it, and what to do. All connections are cut after that."""


class _Proxy:
    def __init__(self, upstream_port: int, interruptions: Sequence[Interruption]) -> None:
        self._upstream_port = upstream_port
        self._pending = list(interruptions)
        self._passed = 0
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    async def serve(self) -> int:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        if self._server:
            self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        with suppress(OSError):
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            self._connections.add(upstream_writer)
            await asyncio.gather(
                self._forward(reader, upstream_writer, is_from_client=True),
                self._forward(upstream_reader, writer, is_from_client=False),
                return_exceptions=True,
            )
            upstream_writer.close()
        writer.close()

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_from_client: bool
    ) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
                if is_from_client:
                    self._passed += len(data)
                    await self._interrupt_if_due()
        finally:
            target.close()

    async def _interrupt_if_due(self) -> None:
        if self._pending and self._passed >= self._pending[0][0]:
            _, act = self._pending.pop(0)
            await asyncio.to_thread(act)
            for connection in self._connections:
                connection.transport.abort()
            self._connections.clear()


@contextmanager
def interrupting(upstream_port: int, interruptions: Sequence[Interruption]) -> Iterator[str]:
    """Yield the URL of a proxy that performs the interruptions in this order. At the end, all must have happened."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = _Proxy(upstream_port, interruptions)
    try:
        port = asyncio.run_coroutine_threadsafe(proxy.serve(), loop).result(10)
        yield f"http://127.0.0.1:{port}"
        assert not proxy.has_pending, "an interruption did not happen"
    finally:
        asyncio.run_coroutine_threadsafe(proxy.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
