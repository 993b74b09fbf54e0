"""Stores objects as files in a folder. The service itself signs and serves the URLs and forms for them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import stat
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar
from urllib.parse import quote, urlencode

from app.common.signing import derive_key, sign, verify
from app.domain.errors import DependencyUnavailable, FormExpired, FormInvalid, ObjectMissing, UrlExpired, UrlInvalid
from app.domain.formats import UNKNOWN_TYPE
from app.domain.object_keys import INCOMING_PREFIX, check_key, check_prefix
from app.domain.objects import LocalObject, PresignedPost, PresignedPostClaims, SignedUrl, StoredObject
from app.storage.disk.deletion_pause import deleting
from app.storage.disk.files import (
    content_type_of,
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

P = ParamSpec("P")
T = TypeVar("T")

# Relative, because the service may be behind a path prefix, which is known only when a request is handled.
URL_PATH = "api/v1/objects/"
FORM_URL = "api/v1/objects"
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
        self._url_key = url_key
        # A separate key, so that a signature for reading is not valid for writing.
        self._form_key = derive_key(url_key.hex(), "object-form")
        self._ttl_seconds = ttl_seconds
        self._window_seconds = window_seconds
        self._clock = clock

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
        await self._in_thread(sync_parents, paths, top=self._folder)

    async def delete(self, keys: Collection[str]) -> None:
        await self._in_thread(self._remove, [check_key(key) for key in keys])

    async def size(self, key: str) -> int | None:
        status = await self._in_thread(self._find, check_key(key))
        return None if status is None else status.st_size

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
        now = int(self._clock())
        expires = now - now % self._window_seconds + self._window_seconds + self._ttl_seconds
        signature = sign(self._url_key, _message(check_key(key), expires, filename))
        url = f"{URL_PATH}{key}?expires={expires}&signature={signature}"
        if filename is not None:
            url += f"&filename={quote(filename, safe='')}"
        return SignedUrl(url, datetime.fromtimestamp(expires, UTC))

    async def open_signed(
        self, key: str, *, expires: int, filename: str | None, signature: str, now: datetime
    ) -> LocalObject:
        if not verify(self._url_key, _message(key, expires, filename), signature):
            raise UrlInvalid
        if now.timestamp() >= expires:
            raise UrlExpired
        status = await self._in_thread(self._find, key)
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
        return sign(self._url_key, f"etag {status.st_ino} {status.st_mtime_ns} {status.st_size}".encode())

    async def presign_post(
        self, key: str, *, content_type: str, size: int, sha256: str | None, expires_at: datetime
    ) -> PresignedPost:
        if not check_key(key).startswith(INCOMING_PREFIX):
            raise ValueError(f"a form must not write to {key!r}")
        expires = int(expires_at.timestamp())
        fields = {"key": key, "Content-Type": content_type, "size": str(size), "expires": str(expires)}
        if sha256 is not None:
            fields["sha256"] = sha256
        fields["signature"] = sign(self._form_key, _form_message(fields))
        return PresignedPost(FORM_URL, fields, datetime.fromtimestamp(expires, UTC))

    async def presign_put(self, key: str, *, size: int, expires_at: datetime) -> SignedUrl:
        form = await self.presign_post(key, content_type=UNKNOWN_TYPE, size=size, sha256=None, expires_at=expires_at)
        return SignedUrl(f"{form.url}?{urlencode(form.fields)}", form.expires_at)

    def verify_post(self, fields: Mapping[str, str], *, now: datetime) -> PresignedPostClaims:
        if not verify(self._form_key, _form_message(fields), fields.get("signature", "")):
            raise FormInvalid
        if now.timestamp() >= int(fields["expires"]):
            raise FormExpired
        return PresignedPostClaims(fields["key"], fields["Content-Type"], int(fields["size"]), fields.get("sha256"))

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
            sync_parents([path], top=self._folder)

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


def _message(key: str, expires: int, filename: str | None) -> bytes:
    # Unambiguous, because neither a key nor a number contains a line break.
    message = f"{key}\n{expires}" if filename is None else f"{key}\n{expires}\n{filename}"
    return message.encode("utf-8", "surrogatepass")


def _form_message(fields: Mapping[str, str]) -> bytes:
    # All fields are signed, so that none can be removed or added.
    return json.dumps(sorted((name, value) for name, value in fields.items() if name != "signature")).encode()
