"""Assembles objects of the disk store from parts, which are written into one file beside the object."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from app.domain.errors import DependencyUnavailable, UploadMissing
from app.domain.formats import UNKNOWN_TYPE
from app.domain.object_keys import check_key
from app.storage.disk.files import move, sync_parents

P = ParamSpec("P")
T = TypeVar("T")

_PART_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 1 << 18


class DiskPartStore:
    """The file `<key>.part` contains all bytes that have arrived, so a tail is simply the end of that file."""

    part_bytes = _PART_BYTES

    def __init__(self, folder: Path) -> None:
        """`folder` is the folder of the object store."""
        self._folder = folder.resolve()
        self._permanent_folders: set[Path] = set()

    async def begin(self, key: str, *, content_type: str = UNKNOWN_TYPE) -> str:  # noqa: ARG002
        # The file is created with the first byte, so that an upload whose record was never added leaves none.
        check_key(key)
        return "file"

    async def require_space(self, size: int) -> None:
        if (await _in_thread(shutil.disk_usage, self._folder)).free < size:
            raise DependencyUnavailable("disk")

    async def put_part(self, key: str, parts_id: str, number: int, file: BinaryIO, *, start: int, size: int) -> None:  # noqa: ARG002
        await _in_thread(self._write, key, file.fileno(), start=start, size=size, at=number * _PART_BYTES)

    async def put_bytes(self, key: str, parts_id: str, number: int, data: bytes, *, at: int) -> None:  # noqa: ARG002
        await _in_thread(self._write_bytes, key, data, at=at)

    async def put_tail(self, key: str, file: BinaryIO, *, start: int, size: int, end: int) -> None:
        await _in_thread(self._write, key, file.fileno(), start=start, size=size, at=end - size)

    async def read_tail(self, key: str, file: BinaryIO, *, end: int) -> None:
        await _in_thread(self._read_tail, key, file.fileno(), end=end)

    async def delete_tail(self, key: str, *, end: int) -> None:
        """Do nothing: later bytes are written behind the tail."""

    async def assemble(self, key: str, parts_id: str, *, size: int) -> None:  # noqa: ARG002
        await _in_thread(self._assemble, key, size)

    async def discard(self, key: str, parts_id: str) -> None:  # noqa: ARG002
        await _in_thread(self._discard, key)

    def _path(self, key: str) -> Path:
        return self._folder / check_key(f"{key}.part")

    def _write(self, key: str, source: int, *, start: int, size: int, at: int) -> None:
        with self._opened(key) as target:
            _copy(source, target, start=start, size=size, at=at)

    def _write_bytes(self, key: str, data: bytes, *, at: int) -> None:
        with self._opened(key) as target:
            _write_all(target, data, at=at)

    @contextmanager
    def _opened(self, key: str) -> Iterator[int]:
        """Open the file of the parts for writing, and sync it to the disk at the end."""
        path = self._path(key)
        is_new = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            yield target
            os.fsync(target)
        finally:
            os.close(target)
        if is_new:
            sync_parents([path], top=self._folder, permanent=self._permanent_folders)

    def _read_tail(self, key: str, target: int, *, end: int) -> None:
        size = end % _PART_BYTES
        try:
            source = os.open(self._path(key), os.O_RDONLY)
        except FileNotFoundError:
            raise UploadMissing from None
        try:
            _copy(source, target, start=end - size, size=size, at=0)
        except EOFError:
            raise UploadMissing from None
        finally:
            os.close(source)

    def _assemble(self, key: str, size: int) -> None:
        part, path = self._path(key), self._folder / key
        if not part.exists() and path.exists():
            return
        if not part.exists() or part.stat().st_size != size:
            raise UploadMissing
        move(part, path)
        sync_parents([path], top=self._folder, permanent=self._permanent_folders)

    def _discard(self, key: str) -> None:
        for path in (self._path(key), self._folder / key):
            path.unlink(missing_ok=True)


def _copy(source: int, target: int, *, start: int, size: int, at: int) -> None:
    """Copy with positioned reads and writes. Raises EOFError if `source` is too short."""
    copied = 0
    while copied < size:
        chunk = os.pread(source, min(_CHUNK_BYTES, size - copied), start + copied)
        if not chunk:
            raise EOFError
        _write_all(target, chunk, at=at + copied)
        copied += len(chunk)


def _write_all(target: int, data: bytes, *, at: int) -> None:
    remaining = memoryview(data)
    while remaining:
        written = os.pwrite(target, remaining, at)
        remaining = remaining[written:]
        at += written


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return await asyncio.to_thread(function, *args, **kwargs)
    except OSError as error:
        raise DependencyUnavailable("store") from error
