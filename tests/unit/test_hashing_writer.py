"""Tests of writing, hashing and limiting incoming data."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.common.hashing_writer import BLOCK_BYTES, HashingWriter, write_stream
from app.domain.errors import UploadTooLarge

DATA = os.urandom(3 * BLOCK_BYTES + 5)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    with (tmp_path / "file").open("w+b") as file:
        yield file.fileno()


def make_writer(fd: int, *, max_bytes: int = len(DATA)) -> HashingWriter:
    return HashingWriter(fd, max_bytes=max_bytes, too_large=UploadTooLarge)


async def chunks_of(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [999, BLOCK_BYTES, len(DATA)])
async def test_a_stream_is_written_and_hashed(fd: int, size: int):
    writer = make_writer(fd)
    assert await write_stream(chunks_of(DATA, size), writer) == hashlib.sha256(DATA).hexdigest()
    assert writer.size == len(DATA)
    assert os.pread(fd, len(DATA) + 1, 0) == DATA


async def test_an_empty_stream_is_an_empty_file(fd: int):
    assert await write_stream(chunks_of(b"", 1), make_writer(fd)) == hashlib.sha256(b"").hexdigest()
    assert os.fstat(fd).st_size == 0


async def test_a_stream_over_the_limit_is_refused(fd: int):
    with pytest.raises(UploadTooLarge):
        await write_stream(chunks_of(DATA, 999), make_writer(fd, max_bytes=len(DATA) - 1))
    assert os.fstat(fd).st_size < len(DATA)


def test_data_is_written_completely_if_the_operating_system_writes_less(fd: int, monkeypatch: pytest.MonkeyPatch):
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:1000], offset))
    writer = make_writer(fd)
    writer.write(DATA)
    assert os.pread(fd, len(DATA) + 1, 0) == DATA
    assert writer.sha256 == hashlib.sha256(DATA).hexdigest()


async def test_a_stream_is_not_written_on_the_event_loop(fd: int, monkeypatch: pytest.MonkeyPatch):
    pwrite, threads = os.pwrite, set[int]()

    def watched_pwrite(fd: int, data: bytes, offset: int) -> int:
        threads.add(threading.get_ident())
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", watched_pwrite)
    await write_stream(chunks_of(DATA, 999), make_writer(fd))
    assert threads
    assert threading.get_ident() not in threads
