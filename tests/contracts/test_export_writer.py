"""Exports in both object stores: interrupted after any image, they end with the same file and leave nothing behind."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from app.domain.errors import UploadMissing
from app.domain.ids import new_id
from app.ports.part_store import PartStore
from app.ports.storage import ObjectStore
from app.services.export_writer import READ_BYTES, ExportWriter, delete_checkpoint, discard_export, open_export
from app.services.export_zip import Member, directory_entry, end_of_directory, member_header
from app.storage.disk.parts import DiskPartStore
from app.storage.s3.parts import S3PartStore
from tests.aws_emulators import AwsEmulator
from tests.contracts.object_stores import disk_subject, open_s3, s3_subject
from tests.contracts.tables import NOON

PART_BYTES = 5 * 1024 * 1024
FILES = {f"images/{number}.jpg": hashlib.shake_256(b"%d" % number).digest(2_500_000) for number in range(6)}


@dataclass
class Subject:
    store: ObjectStore
    parts: PartStore
    key: str
    """Of the export."""
    unfinished: Callable[[], Awaitable[int]]
    """Return how many incomplete objects the store holds."""

    async def open(self) -> ExportWriter:
        return await open_export(self.store, self.parts, self.key)

    async def keys(self) -> list[str]:
        return [stored.key async for stored in self.store.walk(self.key)]

    async def content(self) -> bytes:
        size = await self.store.size(self.key)
        assert size is not None
        return await self.store.read(self.key, start=0, size=size)


@pytest.fixture(params=["disk", "s3"])
async def subject(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Subject]:
    monkeypatch.setattr("app.services.export_writer.PART_BYTES", PART_BYTES)
    monkeypatch.setattr("app.services.export_writer._CHECKPOINT_LINES", 1)
    key = f"exports/ada/{new_id()}.zip"
    if request.param == "disk":
        async with disk_subject(tmp_path) as disk:

            async def unfinished_files() -> int:
                return len([key async for key in disk.store.walk("") if key.key.endswith(".part")])

            yield Subject(disk.store, DiskPartStore(tmp_path), key, unfinished_files)
    else:
        aws: AwsEmulator = request.getfixturevalue("aws")
        async with open_s3(aws.service("s3")) as connection, s3_subject(aws, connection) as s3:
            parts = S3PartStore(connection.client, bucket=aws.bucket, store=s3.store)

            async def unfinished_uploads() -> int:
                return aws.incomplete_uploads(key)

            yield Subject(s3.store, parts, key, unfinished_uploads)


async def add(writer: ExportWriter, name: str, content: bytes) -> None:
    async def data() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1_000_000):
            yield content[start : start + 1_000_000]

    await writer.add(name, data, time=NOON)
    await writer.count(name, {"image": {"id": name}})


def check(content: bytes, *, left_out: int = 0) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [*FILES, "metadata.json"]
        for name, expected in FILES.items():
            assert archive.read(name) == expected
            assert archive.getinfo(name).date_time == (2026, 11, 20, 12, 0, 0)
        metadata = json.loads(archive.read("metadata.json"))
    assert metadata["images"] == [{"id": name} for name in FILES]
    assert len(metadata["left_out"]) == left_out


async def test_an_export_that_is_interrupted_after_each_image_is_complete(subject: Subject):
    for number, (name, content) in enumerate(FILES.items()):
        writer = await subject.open()
        assert writer.after == max((other for other in FILES if other < name), default="")
        assert writer.images == number
        await add(writer, name, content)
        if number < 4:
            # The process is killed while it writes the next image.
            await writer._write(bytes(PART_BYTES))
    await (await subject.open()).count("z", {"left_out": {"id": "z"}})
    writer = await subject.open()
    assert [name async for name in writer.names()] == list(FILES)
    assert (writer.images, writer.left_out) == (6, 1)
    await writer.finish(time=NOON)
    check(await subject.content(), left_out=1)
    assert (await subject.keys(), await subject.unfinished()) == ([subject.key], 0)


async def test_parts_of_an_attempt_that_wrote_more_are_refused(subject: Subject):
    await (await subject.open())._write(bytes(3 * PART_BYTES))
    writer = await subject.open()
    with pytest.raises(UploadMissing):
        await writer.finish(time=NOON)
    await writer.discard()
    assert (await subject.keys(), await subject.unfinished()) == ([], 0)


async def test_nothing_of_an_incomplete_export_is_left(subject: Subject):
    for _ in range(2):
        writer = await subject.open()
        for name, content in FILES.items():
            await add(writer, name, content)
        await discard_export(subject.store, subject.parts, subject.key)
        assert (await subject.keys(), await subject.unfinished()) == ([], 0)
    await discard_export(subject.store, subject.parts, subject.key)


async def test_only_the_file_is_left_if_the_process_was_killed_after_storing_it(subject: Subject):
    writer = await subject.open()
    for name, content in FILES.items():
        await add(writer, name, content)
    kept = {key: await subject.store.read(key, start=0, size=READ_BYTES) for key in await subject.keys()}
    kept.pop(f"{subject.key}.part", None)
    await writer.finish(time=NOON)
    for key, content in kept.items():
        await subject.store.put(key, content, content_type="application/json")
    await delete_checkpoint(subject.store, subject.key)
    assert await subject.keys() == [subject.key]
    check(await subject.content())


async def test_a_file_that_changes_while_it_is_read_is_not_written(subject: Subject):
    writer, contents = await subject.open(), iter((b"first", b"other"))

    async def data() -> AsyncIterator[bytes]:
        yield next(contents)

    with pytest.raises(ValueError, match="changed"):
        await writer.add("a.jpg", data, time=NOON)
    await writer.discard()


def test_files_and_offsets_beyond_4_gib_need_zip64():
    size = 5 << 30
    first, second = Member("ä.jpg", size, 0, NOON, 0), Member("b.jpg", 3, 0, NOON, 0)
    with TemporaryFile() as file:
        file.write(member_header(first))
        file.seek(size, io.SEEK_CUR)  # a hole
        second = Member("b.jpg", 3, 0x352441C2, NOON, file.tell())
        file.write(member_header(second) + b"abc")
        start = file.tell()
        directory = directory_entry(first) + directory_entry(second)
        file.write(directory + end_of_directory(entries=2, size=len(directory), offset=start))
        with zipfile.ZipFile(file) as archive:
            assert [(entry.filename, entry.file_size) for entry in archive.infolist()] == [
                ("ä.jpg", size),
                ("b.jpg", 3),
            ]
            assert archive.read("b.jpg") == b"abc"
            with archive.open("ä.jpg") as opened:
                assert opened.read(10) == bytes(10)


def test_more_than_65535_files_need_zip64():
    members = [Member(f"{number}.jpg", 0, 0, NOON, 0) for number in range(65_536)]
    directory = b"".join(map(directory_entry, members))
    content = member_header(members[0])
    end = end_of_directory(entries=len(members), size=len(directory), offset=len(content))
    assert len(zipfile.ZipFile(io.BytesIO(content + directory + end)).infolist()) == 65_536
