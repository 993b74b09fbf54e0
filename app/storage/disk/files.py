"""Operations on single files and folders of the disk store: durable writes, moves, and walks in the order of keys."""

from __future__ import annotations

import fcntl
import hashlib
import heapq
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from app.common.durability import make_folder, sync_folder
from app.common.hashing_writer import HashingWriter
from app.domain.errors import file_too_large
from app.domain.objects import StoredObject

_CHUNK_BYTES = 1 << 18
_MOVE_ATTEMPTS = 100
_NAMES_PER_BATCH = 20_000
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def lock_drafts(drafts: Path) -> int:
    """Create the folder if it is missing, delete the files of killed processes, and return the lock of this one."""
    make_folder(drafts)
    lock = os.open(drafts, os.O_RDONLY | os.O_DIRECTORY)
    # Each process that writes here holds a shared lock. A process that gets the exclusive lock knows that no file is
    # being written.
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for draft in drafts.iterdir():
            draft.unlink()
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def read_chunks(fd: int, *, size: int, sha256: str) -> Iterator[bytes]:
    """Yield the content of the file, by positioned reads. Raises OSError at its end if size or checksum differ."""
    digest, position = hashlib.sha256(), 0
    while chunk := os.pread(fd, min(_CHUNK_BYTES, size - position), position):
        digest.update(chunk)
        position += len(chunk)
        yield chunk
    if position != size or digest.hexdigest() != sha256:
        raise OSError("the file does not have the expected size and checksum")


def read_range(path: Path, *, start: int, size: int) -> bytes:
    """Return `size` bytes from `start`, or fewer at the end of the file."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)


def copy_file(source: int, target: int, *, max_bytes: int) -> str:
    """Copy with positioned reads and writes, and return the SHA-256 (hex). Raises UploadTooLarge after `max_bytes`."""
    writer = HashingWriter(target, max_bytes=max_bytes, too_large=lambda: file_too_large(max_bytes))
    while chunk := os.pread(source, _CHUNK_BYTES, writer.size):
        writer.write(chunk)
    return writer.sha256


def write_durably(path: Path, chunks: Iterable[bytes]) -> None:
    """Create the file and sync its content to the disk. Raises FileExistsError if it exists."""
    with path.open("xb", buffering=0) as file:
        for chunk in chunks:
            remaining = memoryview(chunk)
            while remaining:
                remaining = remaining[file.write(remaining) :]
        os.fsync(file.fileno())


def link_or_copy(source: int, draft: Path, *, size: int, sha256: str) -> None:
    """Make the content of the open file a file with the name `draft`, and sync it to the disk.

    If possible, that is the same file: it is neither copied nor hashed again. Raises OSError if the size of a copy or
    its checksum differ.
    """
    if _link(source, draft, size=size):
        os.fsync(source)
    else:
        write_durably(draft, read_chunks(source, size=size, sha256=sha256))


def _link(source: int, draft: Path, *, size: int) -> bool:
    """Give the open file a name. Return False unless it has none and is of that size, in the same file system."""
    status = os.fstat(source)
    if status.st_nlink or status.st_size != size:
        return False
    try:
        # With `src_dir_fd`, which is not used for an absolute path, Python calls linkat, which follows the link.
        os.link(f"/proc/self/fd/{source}", draft, src_dir_fd=source, follow_symlinks=True)
    except OSError:
        return False
    return True


def sync_parents(paths: Iterable[Path], *, top: Path, permanent: set[Path]) -> None:
    """Make the names of the paths durable: sync each folder that contains one of them, up to `top`, once.

    Folders that existed before are synced too: another thread may have created one and not synced its parent yet.
    `permanent` holds the folders in `top` whose names are durable. They are never removed, so `top` is synced only for
    others, which are then added.
    """
    paths = set(paths)
    folders = {folder for path in paths for folder in path.parents if folder.is_relative_to(top)}
    in_top = {path for path in paths | folders if path.parent == top}
    if in_top <= permanent:
        folders.discard(top)
    for folder in folders:
        with suppress(FileNotFoundError):  # The object and its folder were deleted in the meantime.
            sync_folder(folder)
    permanent |= in_top & folders


def move(draft: Path, path: Path) -> None:
    """Move the draft to `path`. Its folders are created if they are missing."""
    for _ in range(_MOVE_ATTEMPTS):
        # A concurrent delete removes empty folders, including one that this loop has just created.
        with suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(path)
            return
    raise FileNotFoundError(f"the folder of {path} was deleted repeatedly")


def remove_empty_folders(path: Path, *, top: Path) -> None:
    """Remove the folders that contained `path` and are empty now, except `top` and the folders directly in it."""
    for folder in path.parents:
        if top in {folder, folder.parent}:
            return
        try:
            folder.rmdir()
        except OSError:
            return


def walk_folder(folder: Path, *, folder_key: str, prefix: str, after: str) -> Iterator[StoredObject]:
    """Yield the objects in `folder` with keys greater than `after` that begin with `prefix`, in bytewise order of keys.

    `folder_key` is the beginning of all keys in the folder.
    """

    def is_wanted(name: str) -> bool:
        key = folder_key + name
        # Of a folder that `after` begins with, only some keys are greater than `after`.
        return key.startswith(prefix) and (key > after or (name.endswith("/") and after.startswith(key)))

    for name in _list_folder(folder, is_wanted):
        key = folder_key + name
        if key.endswith("/"):
            yield from walk_folder(folder / name, folder_key=key, prefix=prefix, after=after)
        else:
            with suppress(FileNotFoundError):  # It was deleted in the meantime.
                status = (folder / name).lstat()
                yield StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _list_folder(folder: Path, is_wanted: Callable[[str], bool]) -> Iterator[str]:
    """Yield the wanted names in the order of their keys, with `/` after the name of a folder.

    A folder with more names than fit into one batch is read once for each batch, so that memory use is constant.
    """
    last = ""
    while names := heapq.nsmallest(_NAMES_PER_BATCH, (n for n in _names(folder) if n > last and is_wanted(n))):
        yield from names
        if len(names) < _NAMES_PER_BATCH:
            return
        last = names[-1]


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _NAME.fullmatch(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield f"{entry.name}/"
                elif entry.is_file(follow_symlinks=False):
                    yield entry.name
    except (FileNotFoundError, NotADirectoryError):
        return
