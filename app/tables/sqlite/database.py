"""Runs SQLite outside the event loop: one thread writes, and another reads without waiting for the first."""

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

_WAL_ATTEMPTS = 100
_WAL_PAUSE_SECONDS = 0.05


class DatabaseDamaged(RuntimeError):
    """The file is not a valid database. The message says how to restore a backup."""


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    work: Callable[[sqlite3.Connection], Any]
    result: Future[Any] = field(default_factory=Future)


class SqliteDatabase:
    """When a write returns, its changes are on the disk and visible to every later read."""

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
        return await _result_of(self._reader_thread.submit(lambda: self._reader.execute(sql, values).fetchall()))

    async def execute(self, sql: str, *values: str | int | None) -> list[sqlite3.Row]:
        """Run one statement that writes, and return the rows of its RETURNING clause."""
        return await self.write(lambda writer: writer.execute(sql, values).fetchall())

    async def check_writable(self) -> None:
        """Write a page that does not change. Raises DependencyUnavailable, for example if the disk is full."""
        await self.write(lambda writer: writer.execute(f"PRAGMA user_version = {_user_version(writer)}"))

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction and return its result. If `work` raises, none of its changes are saved."""
        write = _Write(work)
        self._waiting.append(write)
        self._writer_thread.submit(self._commit_waiting)
        return await _result_of(write.result)

    # Most of the time of a commit is the wait for the disk (fsync). All writes that arrive during one commit share the
    # next one: with 32 writers and 4 ms per commit, the throughput is twelve times that of one commit per write.
    def _commit_waiting(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        batch = [write for write in waiting if write.result.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            outcomes = [self._run(write.work) for write in batch]
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            outcomes = [partial(Future.set_exception, exception=error)] * len(batch)
            self._roll_back()
        for write, set_outcome in zip(batch, outcomes, strict=True):
            set_outcome(write.result)

    def _run(self, work: Callable[[sqlite3.Connection], Any]) -> Callable[[Future[Any]], None]:
        self._writer.execute("SAVEPOINT write")
        try:
            outcome = partial(Future.set_result, result=work(self._writer))
        except Exception as error:  # noqa: BLE001 - it is raised where the write is awaited
            outcome = partial(Future.set_exception, exception=error)
            # Raises if SQLite itself rolled back the transaction (disk full). Then the whole batch fails.
            self._writer.execute("ROLLBACK TO write")
        self._writer.execute("RELEASE write")
        return outcome

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")


def _user_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


async def _result_of(future: Future[T]) -> T:
    try:
        return await asyncio.wrap_future(future)
    except sqlite3.OperationalError as error:
        raise DependencyUnavailable("table") from error


@asynccontextmanager
async def open_sqlite(path: Path, *, is_only_process: bool = False) -> AsyncIterator[SqliteDatabase]:
    """Open the file, create it if it is missing (readable only by its owner), and migrate it to the newest version.

    With `is_only_process`, no other process uses the file. Then a `-wal` file shows that the last one did not close the
    database, and the database is checked. Raises DatabaseDamaged.
    """
    verify = is_only_process and path.with_name(f"{path.name}-wal").exists()
    async with AsyncExitStack() as stack:
        writer_thread = stack.enter_context(ThreadPoolExecutor(1, "sqlite-writer"))
        reader_thread = stack.enter_context(ThreadPoolExecutor(1, "sqlite-reader"))
        run = asyncio.get_running_loop().run_in_executor
        writer = await run(writer_thread, partial(_create, path, verify=verify))
        stack.push_async_callback(run, writer_thread, writer.close)
        reader = await run(reader_thread, _connect, path)
        stack.push_async_callback(run, reader_thread, reader.close)
        await run(writer_thread, migrate, writer)
        yield SqliteDatabase(writer=writer, writer_thread=writer_thread, reader=reader, reader_thread=reader_thread)


def _create(path: Path, *, verify: bool) -> sqlite3.Connection:
    make_folder(path.parent)
    path.touch(mode=0o600)
    try:
        connection = _connect(path)
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if verify else "ok"
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        problem = str(error)
    if problem != "ok":
        raise DatabaseDamaged(
            f"The database {path} is damaged ({problem}). Move the contents of DATA_DIR to another folder, and restore "
            "the latest backup with `python -m app restore FOLDER`. Without a backup, move only service.db, "
            "service.db-wal and service.db-shm, and see docs/operations.md, Damaged database."
        )
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    # Without implicit transactions: the code runs BEGIN and COMMIT itself. Each connection is used by one thread at a
    # time, but another thread may close it.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    # Wait while another process, such as a command, is writing.
    connection.execute("PRAGMA busy_timeout = 5000")
    _use_wal(connection)
    # NORMAL, the default of many builds in WAL mode, can lose the last commits in a power failure.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # busy_timeout does not apply while another process makes the same change to a new file.
    for _ in range(_WAL_ATTEMPTS):
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
            return
        time.sleep(_WAL_PAUSE_SECONDS)
    connection.execute("PRAGMA journal_mode = WAL")
