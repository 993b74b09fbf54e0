"""Records the order in which files reach the disk, and checks it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

Event = tuple[str, Path | int]


def record_events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Return a list that will contain each fsync and each new name of a file.

    An fsync is `fsync` with the path, then `content` with the inode. A new name is `inode`, then `to` with the path.
    """
    recorded: list[Event] = []
    fsync = os.fsync

    def record_fsync(file: Any) -> None:
        fd = file if isinstance(file, int) else file.fileno()
        recorded.append(("fsync", Path(f"/proc/self/fd/{fd}").readlink()))
        recorded.append(("content", os.fstat(fd).st_ino))
        fsync(file)

    def recording(function: Any) -> Any:
        def record(source: Any, target: Any, **options: Any) -> None:
            inode = Path(source).stat().st_ino
            function(source, target, **options)
            recorded.extend([("inode", inode), ("to", Path(target))])

        return record

    monkeypatch.setattr(os, "fsync", record_fsync)
    for name in ("replace", "rename", "link"):
        monkeypatch.setattr(os, name, recording(getattr(os, name)))
    return recorded


def assert_durable(events: Sequence[Event], path: Path, *, up_to: Path) -> None:
    """The content is synced before the file gets its name, and afterwards each folder up to `up_to`."""
    named = events.index(("to", path))
    (_, inode) = events[named - 1]
    assert ("content", inode) in events[:named]
    for folder in path.parents:
        assert ("fsync", folder) in events[named:], folder
        if folder == up_to:
            return
