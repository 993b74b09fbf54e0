"""Tests of how the server writes to a connection."""

from __future__ import annotations

import asyncio

import pytest

from app.connections import JoiningTransport


class Recorder(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.written.append(b"closed")

    def is_closing(self) -> bool:
        return False


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def transport(recorder: Recorder) -> JoiningTransport:
    return JoiningTransport(recorder, asyncio.get_running_loop())


async def test_headers_are_sent_with_the_body(transport: JoiningTransport, recorder: Recorder) -> None:
    for data in (b"headers ", b"body", b""):
        transport.write(data)
    await asyncio.sleep(0)
    assert recorder.written == [b"headers body"]


async def test_headers_are_sent_before_a_body_that_comes_later(transport: JoiningTransport, recorder: Recorder) -> None:
    transport.write(b"headers")
    await asyncio.sleep(0)
    assert recorder.written == [b"headers"]
    transport.write(b"body")
    await asyncio.sleep(0)
    assert recorder.written == [b"headers", b"body"]


async def test_at_most_one_write_waits(transport: JoiningTransport, recorder: Recorder) -> None:
    for data in (b"1", b"2", b"3", b"4", b"5"):
        transport.write(data)
    assert recorder.written == [b"12", b"34"]
    await asyncio.sleep(0)
    assert recorder.written == [b"12", b"34", b"5"]


async def test_a_write_that_waits_is_sent_before_the_connection_is_closed(
    transport: JoiningTransport, recorder: Recorder
) -> None:
    transport.write(b"all")
    transport.close()
    await asyncio.sleep(0)
    assert recorder.written == [b"all", b"closed"]


async def test_everything_else_is_that_of_the_transport(transport: JoiningTransport) -> None:
    assert not transport.is_closing()
