"""The order in which files reach the disk: content before name, and the name before the caller continues."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from app.container.data_dir import DataDir
from app.domain.images import Quota
from app.storage.disk.store import open_disk
from app.tables.sqlite import SqliteImageTable, open_sqlite
from app.tables.sqlite.migrations import MIGRATIONS
from app.tables.sqlite.schema import migrate
from tests.contracts.object_stores import file_of
from tests.contracts.tables import make_image

Event = tuple[str, Path]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Each fsync with its path, and each new name with the path before it (`from`) and the path itself (`to`)."""
    recorded: list[Event] = []
    fsync = os.fsync

    def record_fsync(file: Any) -> None:
        fd = file if isinstance(file, int) else file.fileno()
        recorded.append(("fsync", Path(f"/proc/self/fd/{fd}").readlink()))
        fsync(file)

    def recording(function: Any) -> Any:
        def record(source: Any, target: Any, **options: Any) -> None:
            recorded.extend([("from", Path(source)), ("to", Path(target))])
            function(source, target, **options)

        return record

    monkeypatch.setattr(os, "fsync", record_fsync)
    for name in ("replace", "rename", "link"):
        monkeypatch.setattr(os, name, recording(getattr(os, name)))
    return recorded


def assert_durable(events: list[Event], path: Path, *, up_to: Path) -> None:
    """The content is synced before the file gets its name, and afterwards each folder up to `up_to`."""
    named = events.index(("to", path))
    (_, draft) = events[named - 1]
    assert ("fsync", draft) in events[:named]
    folder = path.parent
    while True:
        assert ("fsync", folder) in events[named:], folder
        if folder == up_to:
            return
        folder = folder.parent


@pytest.mark.parametrize("method", ["put", "put_file"])
async def test_original_is_on_disk_before_it_is_acknowledged(tmp_path: Path, events: list[Event], method: str) -> None:
    folder = tmp_path / "data" / "objects"
    async with open_disk(folder, url_key=b"k" * 32, ttl_seconds=60, window_seconds=60) as store:
        for name in ("first", "second"):
            events.clear()
            key = f"images/ada/{name}/original.jpg"
            if method == "put":
                await store.put(key, b"content", content_type="image/jpeg")
            else:
                sha256 = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
                with file_of(b"content") as file:
                    await store.put_file(key, file, size=7, sha256=sha256, content_type="image/jpeg")
            assert_durable(events, folder / key, up_to=folder)


def test_new_folders_are_on_disk_before_their_content(tmp_path: Path, events: list[Event]) -> None:
    DataDir(tmp_path / "a" / "data")
    assert {path for _, path in events} == {tmp_path, tmp_path / "a", tmp_path / "a" / "data"}
    events.clear()
    DataDir(tmp_path / "a" / "data")
    assert events == []


def test_secret_is_on_disk_before_it_is_used(tmp_path: Path, events: list[Event]) -> None:
    data_dir = DataDir(tmp_path)
    secret = data_dir.secret()
    assert_durable(events, tmp_path / "secret", up_to=tmp_path)
    assert data_dir.secret() == secret
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


async def test_copy_of_an_older_database_is_on_disk_before_the_migration(tmp_path: Path, events: list[Event]) -> None:
    path = tmp_path / "service.db"
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, migrations=MIGRATIONS[:1])
    connection.close()
    async with open_sqlite(path) as database:
        await SqliteImageTable(database).add(make_image("ada"), quota=Quota())
    assert_durable(events, tmp_path / "service.db.version-1", up_to=tmp_path)
