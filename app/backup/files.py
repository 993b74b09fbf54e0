"""The files of a backup: their names, and the list of their checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.common.durability import make_folder

CHECKSUMS = "SHA256SUMS"
"""A file in the format of `sha256sum`. It is written last, so a backup without it is incomplete."""
DATABASE = "service.db"
OBJECTS = "objects"
SECRET = "secret"
_BLOCK_BYTES = 1 << 20


class BackupError(RuntimeError):
    """The backup or the restore cannot be done. The message says why, and what to do."""


def is_empty(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link_or_copy(source: Path, target: Path) -> str:
    """Create `target` with the content of `source`, and return its SHA-256 (hex). Raises FileNotFoundError.

    A file of the store is never changed in place, only replaced. Therefore a hard link keeps its content, and needs no
    space if the backup is in the same file system.
    """
    make_folder(target.parent)
    with suppress(OSError):
        os.link(source, target)
        return sha256_of(target)
    return copy_durably(source, target)


def copy_durably(source: Path, target: Path) -> str:
    """Copy the content to the new file `target`, which only its owner can read, and return its SHA-256 (hex)."""
    make_folder(target.parent)
    digest = hashlib.sha256()
    with (
        source.open("rb") as reader,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
    ):
        while block := reader.read(_BLOCK_BYTES):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def write_checksums(folder: Path, checksums: dict[str, str]) -> None:
    draft = folder / f"{CHECKSUMS}.draft"
    with draft.open("w", encoding="ascii") as file:
        file.writelines(f"{digest}  {name}\n" for name, digest in checksums.items())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / CHECKSUMS)


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the checksum of each file of the backup, by its relative name. Raises BackupError."""
    try:
        return dict(_parse_checksums((folder / CHECKSUMS).read_text("ascii")))
    except (FileNotFoundError, NotADirectoryError):
        raise BackupError(
            f"{folder} has no {CHECKSUMS}: it is not a backup, or the backup was interrupted. Choose another one."
        ) from None


def _parse_checksums(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        path = Path(name)
        is_known = name in (DATABASE, SECRET) or (path.parts[:1] == (OBJECTS,) and ".." not in path.parts)
        if not is_known:
            raise BackupError(f"{CHECKSUMS} has an unexpected line: {line!r}. Choose another backup.")
        yield name, digest
