"""What the disk store guarantees beyond the port: it never leaves its folder, and its objects are always complete."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import DependencyUnavailable, ObjectMissing
from app.storage.disk.store import open_disk
from tests.contracts.object_stores import Subject, disk_subject, file_of

ROOT = Path(__file__).parents[2]


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def fetch(subject: Subject, key: str) -> None:
    with file_of(b"") as file:
        await subject.store.fetch(key, file, max_bytes=1_000_000)


async def test_folder_is_accessible_only_to_its_owner(tmp_path: Path) -> None:
    async with disk_subject(tmp_path / "data" / "objects"):
        assert (tmp_path / "data" / "objects").stat().st_mode & 0o777 == 0o700


async def test_objects_exist_after_the_store_is_reopened(tmp_path: Path) -> None:
    async with disk_subject(tmp_path / "objects") as subject:
        await subject.put("a/b.jpg", b"content")
    async with disk_subject(tmp_path / "objects") as subject:
        assert await subject.read("a/b.jpg") == b"content"


async def test_empty_folders_are_removed_with_their_last_object(tmp_path: Path) -> None:
    async with disk_subject(tmp_path / "objects") as subject:
        first, second = await subject.put("a/b/1.jpg"), await subject.put("a/2.jpg")
        await subject.store.delete([first])
        assert sorted(p.name for p in (tmp_path / "objects" / "t" / "a").iterdir()) == ["2.jpg"]
        await subject.store.delete([second])
        assert list((tmp_path / "objects" / "t").iterdir()) == []
        await subject.store.check()


async def test_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(b"secret")
    async with disk_subject(tmp_path / "objects") as subject:
        (tmp_path / "objects" / "t").mkdir()
        (tmp_path / "objects" / "t" / "folder").symlink_to(outside)
        (tmp_path / "objects" / "t" / "file.jpg").symlink_to(outside / "secret.jpg")
        for use in (
            subject.put("folder/new.jpg"),
            subject.store.delete(["t/folder/secret.jpg"]),
            subject.walk("folder/"),
            fetch(subject, "t/folder/secret.jpg"),
        ):
            with pytest.raises(ValueError, match="symbolic link"):
                await use
        assert await subject.store.size("t/file.jpg") is None
        with file_of(b"") as file, pytest.raises(ObjectMissing):
            await subject.store.fetch("t/file.jpg", file, max_bytes=10)
        assert await subject.names() == []
        await subject.put("file.jpg", b"own")
    assert files_in(outside) == ["secret.jpg"]
    assert (outside / "secret.jpg").read_bytes() == b"secret"


async def test_a_folder_that_is_itself_behind_a_link_is_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "objects").symlink_to(tmp_path / "elsewhere")
    async with disk_subject(tmp_path / "objects") as subject:
        await subject.put("a.jpg")
        assert await subject.names() == ["a.jpg"]
    assert (tmp_path / "elsewhere" / "t" / "a.jpg").exists()


async def test_missing_folder_is_not_an_empty_folder(tmp_path: Path) -> None:
    async with disk_subject(tmp_path / "objects") as subject:
        key = await subject.put("a.jpg")
        (tmp_path / "objects").rename(tmp_path / "unmounted")
        uses = (
            subject.put("b.jpg"),
            subject.store.size(key),
            fetch(subject, key),
            subject.store.delete([key]),
            subject.walk(),
            subject.store.check(),
        )
        for use in uses:
            with pytest.raises(DependencyUnavailable):
                await use
        (tmp_path / "unmounted").rename(tmp_path / "objects")
        assert await subject.names() == ["a.jpg"]


async def test_large_folders_are_read_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.storage.disk.files._NAMES_PER_BATCH", 2)
    names = sorted(f"{folder}/{number}" for folder in ("a", "a-b", "b", "c", "d") for number in range(5))
    async with disk_subject(tmp_path / "objects") as subject:
        for name in names:
            await subject.put(name)
        assert await subject.names() == names


async def test_unrelated_files_in_the_folder_are_not_objects(tmp_path: Path) -> None:
    async with disk_subject(tmp_path / "objects") as subject:
        (tmp_path / "objects" / "lost+found").mkdir()
        (tmp_path / "objects" / "note to self.txt").touch()
        assert [found async for found in subject.store.walk("")] == []


async def test_canceled_put_has_ended_when_the_caller_continues(tmp_path: Path) -> None:
    async with disk_subject(tmp_path / "objects") as subject:
        for n in range(20):
            put = asyncio.create_task(subject.put(f"{n}.jpg", bytes(2_000_000)))
            await asyncio.sleep(n / 5000)
            put.cancel()
            await asyncio.gather(put, return_exceptions=True)
            await subject.store.delete([f"t/{n}.jpg"])
    assert files_in(tmp_path) == []


async def test_canceled_fetch_has_stopped_writing_when_the_caller_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, may_go_on = threading.Event(), threading.Event()
    write = os.pwrite

    def write_late(*args: Any) -> int:
        writing.set()
        may_go_on.wait(300)
        return write(*args)

    async with disk_subject(tmp_path / "objects") as subject:
        key = await subject.put("a.jpg", b"content")
        monkeypatch.setattr(os, "pwrite", write_late)
        with file_of(b"") as file:
            fetching = asyncio.create_task(subject.store.fetch(key, file, max_bytes=10))
            await asyncio.to_thread(writing.wait, 30)
            fetching.cancel()
            assert await asyncio.wait([fetching], timeout=0.05) == (set(), {fetching})
            may_go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await fetching
            assert os.pread(file.fileno(), 10, 0) == b"content"


async def test_put_creates_its_folder_again_if_a_delete_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deletes = iter(range(3))
    make = Path.mkdir

    def make_and_lose(path: Path, *args: Any, **kwargs: Any) -> None:
        make(path, *args, **kwargs)
        if path.name == "folder" and next(deletes, None) is not None:
            path.rmdir()

    async with disk_subject(tmp_path / "objects") as subject:
        monkeypatch.setattr(Path, "mkdir", make_and_lose)
        await subject.put("folder/a.jpg", b"content")
        assert await subject.read("folder/a.jpg") == b"content"
        assert next(deletes, None) is None


async def test_opening_deletes_temporary_files_of_a_killed_process(tmp_path: Path) -> None:
    async with disk_subject(tmp_path / "objects"):
        (tmp_path / "objects" / "~drafts" / "left").write_bytes(b"half")
    async with disk_subject(tmp_path / "objects"):
        assert files_in(tmp_path) == []


async def test_opening_keeps_temporary_files_of_a_running_process(tmp_path: Path) -> None:
    async with disk_subject(tmp_path / "objects"):
        (tmp_path / "objects" / "~drafts" / "busy").write_bytes(b"half")
        async with disk_subject(tmp_path / "objects"):
            assert files_in(tmp_path) == ["objects/~drafts/busy"]


WRITER = """
import asyncio, sys
from pathlib import Path
from app.storage.disk.store import open_disk

async def put(store, n):
    while True:
        await store.put(f"t/{n}/a.jpg", bytes([n]) * 3_000_000, content_type="image/jpeg")
        print(n, flush=True)

async def main():
    async with open_disk(Path(sys.argv[1]), url_key=b"k", ttl_seconds=60, window_seconds=60) as store:
        await asyncio.gather(*(put(store, n) for n in range(4)))

asyncio.run(main())
"""


async def test_process_killed_at_any_time_leaves_only_complete_objects(tmp_path: Path) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path / "objects"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout
    acknowledged = {int(await writer.stdout.readline()) for _ in range(20)}
    writer.send_signal(signal.SIGKILL)
    await writer.communicate()
    async with disk_subject(tmp_path / "objects") as subject:
        found = await subject.walk()
        assert {int(entry.key.split("/")[1]) for entry in found} >= acknowledged
        assert {entry.size for entry in found} == {3_000_000}
        assert len(files_in(tmp_path)) == len(found)


async def test_full_disk_raises_dependency_unavailable(tmp_path: Path) -> None:
    async with disk_subject(tmp_path / "objects") as subject:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(DependencyUnavailable) as caught:
                await subject.put("a.jpg", bytes(200_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert isinstance(caught.value.__cause__, OSError)
        assert files_in(tmp_path) == []


async def test_objects_are_kept_while_another_process_pauses_deletion(tmp_path: Path):
    """The pause ends when its process is killed."""
    async with open_disk(tmp_path, url_key=b"key", ttl_seconds=60, window_seconds=60) as store:
        await store.put("images/a", b"data", content_type="text/plain")
        program = (
            "import sys, pathlib, app.storage.disk.deletion_pause as d\n"
            "with d.deletion_paused(pathlib.Path(sys.argv[1])): print('paused', flush=True); sys.stdin.read()"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(tmp_path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"paused\n"
            with pytest.raises(DependencyUnavailable):
                await store.delete(["images/a"])
            assert await store.size("images/a") == 4
            await store.put("images/b", b"data", content_type="text/plain")
        finally:
            process.kill()
            await process.wait()
        await store.delete(["images/a"])
        assert await store.size("images/a") is None
