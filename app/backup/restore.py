"""Restores a backup into an empty DATA_DIR."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from app.backup.files import DATABASE, OBJECTS, SECRET, BackupError, copy_durably, read_checksums
from app.common.durability import make_folder, sync_folder, sync_folders

_DRAFT = "restore.draft"
_EMPTY_FOLDER = {"spool", "serving.lock", "stopped-cleanly", _DRAFT}
"""What a folder that holds no data may contain."""


def restore(source: Path, data_dir: Path, *, progress: Callable[[], None] = lambda: None) -> int:
    """Copy the backup in `source` to `data_dir`, verify every file, and return the number of files.

    The caller must hold the lock of `data_dir`, so that no service is using it. `progress` is called after each file.
    Raises BackupError if `data_dir` holds data, or if a file of the backup is missing or damaged. Nothing was restored
    in these cases.
    """
    checksums = read_checksums(source)
    if existing := sorted(entry.name for entry in data_dir.iterdir() if entry.name not in _EMPTY_FOLDER):
        raise BackupError(
            f"{data_dir} is not empty: it contains {', '.join(existing)}. A backup is only restored into an empty "
            "folder, so that files of two states are not mixed. Move these files away, or set another DATA_DIR."
        )
    draft = data_dir / _DRAFT
    shutil.rmtree(draft, ignore_errors=True)  # A restore that was killed may have left it.
    try:
        for name, expected in checksums.items():
            _copy_verified(source / name, draft / name, expected=expected)
            progress()
        _publish(draft, data_dir)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return len(checksums)


def _copy_verified(source: Path, target: Path, *, expected: str) -> None:
    try:
        actual = copy_durably(source, target)
    except FileNotFoundError:
        raise BackupError(f"{source} is missing. Nothing was restored. Choose another backup.") from None
    if actual != expected:
        raise BackupError(
            f"{source} is damaged: its SHA-256 is {actual}, but it was {expected}. Nothing was restored. Choose "
            "another backup."
        )


def _publish(draft: Path, data_dir: Path) -> None:
    """Move the files into place. The database is last: without it, a service does not start with these objects."""
    make_folder(draft / OBJECTS)
    sync_folders(draft)
    for name in (SECRET, OBJECTS, DATABASE):
        if (draft / name).exists():
            (draft / name).replace(data_dir / name)
    sync_folder(data_dir)
