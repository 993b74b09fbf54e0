"""Stores objects as files in a folder. The service itself signs and serves the URLs and forms for them."""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from app.common.signing import sign
from app.domain.errors import DependencyUnavailable, ObjectMissing
from app.domain.object_keys import check_key, check_prefix
from app.domain.objects import LocalObject, PresignedPost, PresignedPostClaims, SignedUrl, SignedUrls, StoredObject
from app.storage.disk.deletion_pause import deleting
from app.storage.disk.files import (
    copy_file,
    link_or_copy,
    lock_drafts,
    move,
    read_range,
    remove_empty_folders,
    sync_parents,
    walk_folder,
    write_durably,
)
from app.storage.disk.urls import DiskUrls, content_type_of

P = ParamSpec("P")
T = TypeVar("T")

WALK_BATCH = 500
_THREADS = 8

# The folder of incomplete files. It is in the same file system as the objects, so that a file is moved by a rename. No
# key contains `~`.
_DRAFTS = "~drafts"


@asynccontextmanager
async def open_disk(
    folder: Path, *, url_key: bytes, ttl_seconds: int, window_seconds: int, clock: Callable[[], float] = time.time
) -> AsyncIterator[DiskObjectStore]:
    """Open the store in `folder`, which is created if it is missing. Deletes incomplete files of killed processes."""
    folder = await asyncio.to_thread(folder.resolve)
    lock = await asyncio.to_thread(lock_drafts, folder / _DRAFTS)
    executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="disk")
    try:
        yield DiskObjectStore(
            folder,
            executor=executor,
            url_key=url_key,
            ttl_seconds=ttl_seconds,
            window_seconds=window_seconds,
            clock=clock,
        )
    finally:
        await asyncio.to_thread(executor.shutdown)
        os.close(lock)


class DiskObjectStore:
    def __init__(
        self,
        folder: Path,
        *,
        executor: ThreadPoolExecutor,
        url_key: bytes,
        ttl_seconds: int,
        window_seconds: int,
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._executor = executor
        self._urls = DiskUrls(url_key, ttl_seconds=ttl_seconds, window_seconds=window_seconds, clock=clock)
        self._etag_key = url_key
        self._permanent_folders: set[Path] = set()

    # The content type is not stored: when a file is served, it follows from the extension of the key.

    async def put_file(
        self,
        key: str,
        file: BinaryIO,
        *,
        size: int,
        sha256: str,
        content_type: str,  # noqa: ARG002
        durable: bool = True,
    ) -> None:
        create = partial(link_or_copy, file.fileno(), size=size, sha256=sha256)
        await self._in_thread(self._write, check_key(key), create, durable=durable)

    async def put(self, key: str, data: bytes, *, content_type: str, durable: bool = True) -> None:  # noqa: ARG002
        create = partial(write_durably, chunks=(data,))
        await self._in_thread(self._write, check_key(key), create, durable=durable)

    async def make_durable(self, keys: Collection[str]) -> None:
        paths = [self._folder / check_key(key) for key in keys]
        await self._in_thread(sync_parents, paths, top=self._folder, permanent=self._permanent_folders)

    async def delete(self, keys: Collection[str]) -> None:
        await self._in_thread(self._remove, [check_key(key) for key in keys])

    async def size(self, key: str) -> int | None:
        found = await self.find(key)
        return found.size if found else None

    async def find(self, key: str) -> StoredObject | None:
        status = await self._in_thread(self._find, check_key(key))
        if status is None:
            return None
        return StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    async def touch(self, key: str) -> None:
        await self._in_thread(self._touch, check_key(key))

    async def read(self, key: str, *, start: int, size: int) -> bytes:
        return await self._in_thread(self._read, check_key(key), start=start, size=size)

    async def fetch(self, key: str, file: BinaryIO, *, max_bytes: int) -> str:
        return await self._in_thread(self._copy, check_key(key), file.fileno(), max_bytes=max_bytes)

    async def walk(self, prefix: str, *, after: str = "") -> AsyncIterator[StoredObject]:
        objects = self._walk(check_prefix(prefix), after)
        while batch := await self._in_thread(lambda: list(islice(objects, WALK_BATCH))):
            for stored in batch:
                yield stored

    async def now(self) -> datetime:
        return await self._in_thread(self._time)

    async def sign_url(self, key: str, *, filename: str | None = None) -> SignedUrl:
        return self._urls.sign(check_key(key), filename=filename)

    async def sign_urls(self, keys: Sequence[str]) -> SignedUrls:
        return self._urls.sign_all([check_key(key) for key in keys])

    async def sign_url_briefly(self, key: str, *, filename: str | None = None) -> SignedUrl:
        return self._urls.sign_briefly(check_key(key), filename=filename)

    async def open_signed(
        self, key: str, *, expires: int, filename: str | None, signature: str, now: datetime
    ) -> LocalObject:
        self._urls.verify(key, expires=expires, filename=filename, signature=signature, now=now)
        return await self.open_local(key)

    async def open_local(self, key: str) -> LocalObject:
        status = await self._in_thread(self._find, check_key(key))
        if status is None:
            raise ObjectMissing
        return LocalObject(
            path=self._folder / key,
            size=status.st_size,
            content_type=content_type_of(key),
            etag=f'"{self._etag(status)}"',
        )

    def _etag(self, status: os.stat_result) -> str:
        # Every put creates a new file, so two contents of a key differ in these values. They are signed so that clients
        # do not see inode numbers.
        return sign(self._etag_key, f"etag {status.st_ino} {status.st_mtime_ns} {status.st_size}".encode())

    async def presign_post(
        self, key: str, *, content_type: str, size: int, sha256: str | None, expires_at: datetime
    ) -> PresignedPost:
        return self._urls.presign_post(
            check_key(key), content_type=content_type, size=size, sha256=sha256, expires_at=expires_at
        )

    async def presign_put(self, key: str, *, size: int, expires_at: datetime) -> SignedUrl:
        return self._urls.presign_put(check_key(key), size=size, expires_at=expires_at)

    def verify_post(self, fields: Mapping[str, str], *, now: datetime) -> PresignedPostClaims:
        return self._urls.verify_post(fields, now=now)

    async def check(self) -> None:
        await self._in_thread(self._probe)

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        future = self._executor.submit(_translate_errors, partial(function, *args, **kwargs))
        waiter = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(waiter)
        except asyncio.CancelledError:
            # A thread cannot be stopped. The caller deletes the key after a cancellation: it must not be written later.
            if not future.cancel():
                await asyncio.wait([waiter])
                waiter.exception()  # Otherwise asyncio logs that the exception was never retrieved.
            raise

    def _write(self, key: str, create: Callable[[Path], None], *, durable: bool) -> None:
        path = self._locate(key)
        draft = self._folder / _DRAFTS / secrets.token_hex(16)
        try:
            create(draft)
            move(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        if durable:
            sync_parents([path], top=self._folder, permanent=self._permanent_folders)

    def _locate(self, key: str) -> Path:
        path = self._folder / key
        if path.parent.resolve() != path.parent:
            raise ValueError(f"the path of {key!r} contains a symbolic link")
        return path

    def _require_folder(self) -> None:
        """Raise OSError if the folder is missing, for example because its disk is not mounted.

        Otherwise every object would look deleted.
        """
        (self._folder / _DRAFTS).stat()

    def _remove(self, keys: Iterable[str]) -> None:
        self._require_folder()
        with deleting(self._folder):
            for key in keys:
                path = self._locate(key)
                with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    path.unlink()
                remove_empty_folders(path, top=self._folder)

    def _find(self, key: str) -> os.stat_result | None:
        self._require_folder()
        try:
            status = self._locate(key).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def _touch(self, key: str) -> None:
        if self._find(key) is not None:
            with suppress(FileNotFoundError):
                os.utime(self._folder / key)

    def _copy(self, key: str, target: int, *, max_bytes: int) -> str:
        if self._find(key) is not None:
            with suppress(FileNotFoundError), (self._folder / key).open("rb", buffering=0) as source:
                return copy_file(source.fileno(), target, max_bytes=max_bytes)
        raise ObjectMissing

    def _read(self, key: str, *, start: int, size: int) -> bytes:
        if self._find(key) is not None:
            with suppress(FileNotFoundError):
                return read_range(self._folder / key, start=start, size=size)
        raise ObjectMissing

    def _walk(self, prefix: str, after: str) -> Iterator[StoredObject]:
        self._require_folder()
        folder, slash, _ = prefix.rpartition("/")
        self._locate(f"{folder}{slash}x")
        yield from walk_folder(self._folder / folder, folder_key=f"{folder}{slash}", prefix=prefix, after=after)

    def _probe(self) -> os.stat_result:
        probe = self._folder / _DRAFTS / secrets.token_hex(16)
        try:
            probe.write_bytes(b"x")
            return probe.stat()
        finally:
            probe.unlink(missing_ok=True)

    def _time(self) -> datetime:
        # The time of the file system's clock, which on a network drive is not the clock of this machine.
        return datetime.fromtimestamp(self._probe().st_mtime, UTC)


def _translate_errors(function: Callable[[], T]) -> T:
    try:
        return function()
    except OSError as error:
        raise DependencyUnavailable("store") from error
