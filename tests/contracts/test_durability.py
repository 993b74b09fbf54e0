"""The order in which files reach the disk: content before name, and the name before the caller continues."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from app.common.temp_files import TempFiles
from app.container.data_dir import DataDir
from app.domain.images import Quota
from app.storage.disk.store import open_disk
from app.tables.sqlite import SqliteImageTable, open_sqlite
from app.tables.sqlite.migrations import MIGRATIONS
from app.tables.sqlite.schema import migrate
from tests.contracts.object_stores import file_of
from tests.contracts.tables import make_image
from tests.fsyncs import Event, assert_durable, record_events

SHA256 = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    return record_events(monkeypatch)


@pytest.mark.parametrize("method", ["put", "put_file", "put_file without copying"])
async def test_original_is_on_disk_before_it_is_acknowledged(tmp_path: Path, events: list[Event], method: str) -> None:
    folder = tmp_path / "data" / "objects"
    async with open_disk(folder, url_key=b"k" * 32, ttl_seconds=60, window_seconds=60) as store:
        for name in ("first", "second"):
            events.clear()
            key = f"images/ada/{name}/original.jpg"
            if method == "put":
                await store.put(key, b"content", content_type="image/jpeg")
            else:
                async with _file_for(method, folder) as file:
                    await store.put_file(key, file, size=7, sha256=SHA256, content_type="image/jpeg")
            assert (folder / key).read_bytes() == b"content"
            assert_durable(events, folder / key, up_to=folder if name == "first" else folder / "images")


async def test_top_folder_is_synced_once_for_each_folder_in_it(tmp_path: Path, events: list[Event]) -> None:
    folder = tmp_path / "objects"
    async with open_disk(folder, url_key=b"k" * 32, ttl_seconds=60, window_seconds=60) as store:
        for key, is_new in (("images/a/1", True), ("images/a/2", False), ("exports/a", True), ("exports/b", False)):
            events.clear()
            await store.put(key, b"content", content_type="image/jpeg")
            assert (("fsync", folder) in events) is is_new, key
            await store.delete([key])
        for key in ("name", "name"):
            events.clear()
            await store.put(key, b"content", content_type="image/jpeg")
            assert_durable(events, folder / key, up_to=folder)


@asynccontextmanager
async def _file_for(method: str, folder: Path) -> AsyncIterator[BinaryIO]:
    if method == "put_file":
        with file_of(b"content") as file:
            yield file
    else:
        async with TempFiles(folder).file() as file:
            file.write(b"content")
            yield file


async def test_folders_of_several_objects_are_synced_once(tmp_path: Path, events: list[Event]) -> None:
    folder = tmp_path / "data" / "objects"
    keys = [f"images/ada/first/{name}.jpg" for name in ("original", "200", "500")]
    async with open_disk(folder, url_key=b"k" * 32, ttl_seconds=60, window_seconds=60) as store:
        events.clear()
        for key in keys:
            await store.put(key, b"content", content_type="image/jpeg", durable=False)
        await store.make_durable(keys)
    for key in keys:
        assert_durable(events, folder / key, up_to=folder)
    folders = [path for kind, path in events if kind == "fsync" and isinstance(path, Path) and path.is_dir()]
    assert len(folders) == len(set(folders)) == 4


def test_new_folders_are_on_disk_before_their_content(tmp_path: Path, events: list[Event]) -> None:
    DataDir(tmp_path / "a" / "data")
    assert {path for kind, path in events if kind == "fsync"} == {tmp_path, tmp_path / "a", tmp_path / "a" / "data"}
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
