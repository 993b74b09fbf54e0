"""One SQLite file off the event loop: a thread that writes, and one that reads without waiting for it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from app.common.durability import make_folder
from app.domain.errors import DependencyUnavailable
from app.tables.sqlite.schema import migrate

T = TypeVar("T")

_WAL_TRIES = 100
_WAL_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    work: Callable[[sqlite3.Connection], Any]
    answer: Future[Any] = field(default_factory=Future)


class SqliteDatabase:
    """What a write has returned is on the disk, and every later read sees it."""

    def __init__(
        self,
        *,
        writer: sqlite3.Connection,
        writer_thread: ThreadPoolExecutor,
        reader: sqlite3.Connection,
        reader_thread: ThreadPoolExecutor,
    ) -> None:
        self._writer = writer
        self._writer_thread = writer_thread
        self._reader = reader
        self._reader_thread = reader_thread
        self._waiting: deque[_Write] = deque()

    async def read(self, sql: str, *values: str | int) -> list[sqlite3.Row]:
        return await _answer_of(self._reader_thread.submit(lambda: self._reader.execute(sql, values).fetchall()))

    async def execute(self, sql: str, *values: str | int | None) -> list[sqlite3.Row]:
        """Run one statement that writes, and return the rows of its RETURNING."""
        return await self.write(lambda writer: writer.execute(sql, values).fetchall())

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` so that all or, if it raises, none of its changes are kept."""
        write = _Write(work)
        self._waiting.append(write)
        self._writer_thread.submit(self._commit_waiting)
        return await _answer_of(write.answer)

    # Most of a commit is the wait for the disk (fsync). All writes that came in during one such wait share the
    # next one: with 32 writers and 4 ms a wait that is twelve times the throughput of one commit for each.
    def _commit_waiting(self) -> None:
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        batch = [write for write in taken if write.answer.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            outcomes = [self._run(write.work) for write in batch]
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            outcomes = [partial(Future.set_exception, exception=error)] * len(batch)
            self._roll_back()
        for write, tell in zip(batch, outcomes, strict=True):
            tell(write.answer)

    def _run(self, work: Callable[[sqlite3.Connection], Any]) -> Callable[[Future[Any]], None]:
        self._writer.execute("SAVEPOINT write")
        try:
            outcome = partial(Future.set_result, result=work(self._writer))
        except Exception as error:  # noqa: BLE001  it is raised where the write is awaited
            outcome = partial(Future.set_exception, exception=error)
            # Raises where SQLite itself has rolled everything back (disk full): then the whole batch has failed.
            self._writer.execute("ROLLBACK TO write")
        self._writer.execute("RELEASE write")
        return outcome

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")


async def _answer_of(future: Future[T]) -> T:
    try:
        return await asyncio.wrap_future(future)
    except sqlite3.OperationalError as error:
        raise DependencyUnavailable("table") from error


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[SqliteDatabase]:
    """Open the file, made if need be and then readable by its owner alone, and bring it to the newest version."""
    async with AsyncExitStack() as stack:
        writer_thread = stack.enter_context(ThreadPoolExecutor(1, "sqlite-writer"))
        reader_thread = stack.enter_context(ThreadPoolExecutor(1, "sqlite-reader"))
        run = asyncio.get_running_loop().run_in_executor
        writer = await run(writer_thread, _create, path)
        stack.push_async_callback(run, writer_thread, writer.close)
        reader = await run(reader_thread, _connect, path)
        stack.push_async_callback(run, reader_thread, reader.close)
        await run(writer_thread, migrate, writer)
        yield SqliteDatabase(writer=writer, writer_thread=writer_thread, reader=reader, reader_thread=reader_thread)


def _create(path: Path) -> sqlite3.Connection:
    make_folder(path.parent)
    path.touch(mode=0o600)
    return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    # No implicit transactions: BEGIN and COMMIT stand where they belong. Each connection is used by one thread
    # at a time, but closed by whichever ends first.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    # Another process (the worker) may be writing: wait for it.
    connection.execute("PRAGMA busy_timeout = 5000")
    _use_wal(connection)
    # The default of many builds in WAL mode, NORMAL, may lose the last commits when the power fails.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait (busy_timeout) for another that is making the same change to a new file.
    for _ in range(_WAL_TRIES):
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
            return
        time.sleep(_WAL_PAUSE_SECONDS)
    connection.execute("PRAGMA journal_mode = WAL")
