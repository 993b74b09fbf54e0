"""Makes new names in folders durable. Until then, a file that was created or renamed can be lost in a power failure."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Write the entries of the folder to the disk (fsync)."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folders(folder: Path) -> None:
    """Write the entries of the folder, and of all folders in it, to the disk."""
    for path, _, _ in os.walk(folder):
        sync_folder(Path(path))


def make_folder(folder: Path) -> None:
    """Create the folder, and those that contain it, for this user only. An existing folder is not changed."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
