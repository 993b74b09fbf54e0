"""What the disk store does with single files and folders: durable writes, moves, and walks in the order of keys."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from app.common.hashing_writer import HashingWriter
from app.domain.errors import file_too_large
from app.domain.objects import StoredObject

_CHUNK_BYTES = 1 << 18
_MOVE_ATTEMPTS = 100
_PART = re.compile(r"[A-Za-z0-9_.-]+")


def read_chunks(fd: int, *, size: int, sha256: str) -> Iterator[bytes]:
    """Yield the file by positioned reads. Raises OSError at its end if it was not the one that was named."""
    digest, position = hashlib.sha256(), 0
    while chunk := os.pread(fd, min(_CHUNK_BYTES, size - position), position):
        digest.update(chunk)
        position += len(chunk)
        yield chunk
    if position != size or digest.hexdigest() != sha256:
        raise OSError("the file is not the one whose size and checksum were given")


def copy_file(source: int, target: int, *, max_bytes: int) -> str:
    """Copy with positioned reads and writes, and return the SHA-256 (hex). Raises UploadTooLarge."""
    writer = HashingWriter(target, max_bytes=max_bytes, too_large=lambda: file_too_large(max_bytes))
    while chunk := os.pread(source, _CHUNK_BYTES, writer.size):
        writer.write(chunk)
    return writer.sha256


def write_durably(path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("xb", buffering=0) as file:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def move(draft: Path, path: Path) -> None:
    """Put the draft at `path`, whose folders are made if need be."""
    for _ in range(_MOVE_ATTEMPTS):
        # A delete takes empty folders away, also one that was made here a moment ago.
        with suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(path)
            return
    raise FileNotFoundError(f"the folder of {path} is deleted again and again")


def walk_folder(folder: Path, *, at: str, prefix: str) -> Iterator[StoredObject]:
    """Yield what is below the folder that holds the keys beginning with `at`, in the order of keys (bytewise)."""
    for name in _list_folder(folder):
        key = at + name
        if not key.startswith(prefix):
            continue
        if key.endswith("/"):
            yield from walk_folder(folder / name, at=key, prefix=prefix)
        else:
            with suppress(FileNotFoundError):  # deleted meanwhile
                status = (folder / name).lstat()
                yield StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _list_folder(folder: Path) -> list[str]:
    """Names in the order of the keys below them, so a folder's with the `/` that follows it there."""
    try:
        with os.scandir(folder) as entries:
            known = [entry for entry in entries if _PART.fullmatch(entry.name)]
            return sorted(
                f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in known
                if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
            )
    except (FileNotFoundError, NotADirectoryError):
        return []
