"""What every PartStore does: see app.ports."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.domain.errors import DependencyUnavailable, UploadMissing
from app.domain.ids import new_id
from app.ports.part_store import PartStore
from app.ports.storage import ObjectStore
from app.storage.disk.parts import DiskPartStore
from app.storage.s3.parts import S3PartStore
from tests.aws_emulators import AwsEmulator
from tests.contracts.object_stores import disk_subject, file_of, open_s3, s3_subject

TAIL = b"tail" * 1000


@dataclass
class Subject:
    parts: PartStore
    store: ObjectStore

    @property
    def file(self) -> bytes:
        """A file of two parts and a tail."""
        return hashlib.shake_256(b"file").digest(2 * self.parts.part_bytes) + TAIL

    async def put(self, key: str, parts_id: str, number: int, data: bytes) -> None:
        with file_of(b"before" + data) as file:
            await self.parts.put_part(key, parts_id, number, file, start=6, size=len(data))

    async def put_all(self, key: str, parts_id: str, *, file: bytes | None = None) -> None:
        data, size = file or self.file, self.parts.part_bytes
        for number in (2, 0, 1):
            await self.put(key, parts_id, number, data[number * size : (number + 1) * size])

    async def sha256(self, key: str) -> str:
        with file_of(b"") as file:
            return await self.store.fetch(key, file, max_bytes=1 << 30)

    async def keys(self, key: str) -> list[str]:
        return [stored.key async for stored in self.store.walk(key)]


@pytest.fixture(params=["disk", "s3"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "disk":
        async with disk_subject(tmp_path) as disk:
            yield Subject(DiskPartStore(tmp_path), disk.store)
    else:
        aws: AwsEmulator = request.getfixturevalue("aws")
        async with open_s3(aws.service("s3")) as connection, s3_subject(aws, connection) as s3:
            yield Subject(S3PartStore(connection.client, bucket=aws.bucket, store=s3.store), s3.store)


@pytest.fixture
def key() -> str:
    return f"incoming/ada/{new_id()}"


async def test_an_object_consists_of_its_parts(subject: Subject, key: str):
    parts_id = await subject.parts.begin(key)
    await subject.put_all(key, parts_id)
    assert await subject.store.size(key) is None
    for _ in range(2):
        await subject.parts.assemble(key, parts_id, size=len(subject.file))
        assert await subject.sha256(key) == hashlib.sha256(subject.file).hexdigest()


async def test_a_repeated_part_replaces_the_earlier_one(subject: Subject, key: str):
    parts_id = await subject.parts.begin(key)
    await subject.put_all(key, parts_id, file=bytes(len(subject.file)))
    await subject.put_all(key, parts_id)
    await subject.parts.assemble(key, parts_id, size=len(subject.file))
    assert await subject.sha256(key) == hashlib.sha256(subject.file).hexdigest()


async def test_a_missing_part_prevents_the_object(subject: Subject, key: str):
    parts_id = await subject.parts.begin(key)
    await subject.put(key, parts_id, 0, subject.file[: subject.parts.part_bytes])
    with pytest.raises(UploadMissing):
        await subject.parts.assemble(key, parts_id, size=len(subject.file))
    assert await subject.store.size(key) is None


async def test_parts_of_bytes_may_be_larger(subject: Subject, key: str):
    parts_id = await subject.parts.begin(key, content_type="application/zip")
    size = subject.parts.part_bytes + len(TAIL) // 2
    for number in (1, 0):
        data = subject.file[number * size : (number + 1) * size]
        await subject.parts.put_bytes(key, parts_id, number, data, at=number * size)
    await subject.parts.assemble(key, parts_id, size=len(subject.file))
    assert await subject.sha256(key) == hashlib.sha256(subject.file).hexdigest()


async def test_missing_room_is_reported(tmp_path: Path):
    parts = DiskPartStore(tmp_path)
    await parts.require_space(1)
    with pytest.raises(DependencyUnavailable):
        await parts.require_space(1 << 60)


async def test_a_tail_is_read_as_it_was_stored(subject: Subject, key: str):
    parts_id = await subject.parts.begin(key)
    size = subject.parts.part_bytes
    await subject.put(key, parts_id, 0, subject.file[:size])
    with file_of(b"before" + TAIL) as file:
        await subject.parts.put_tail(key, file, start=6, size=len(TAIL), end=size + len(TAIL))
    with file_of(b"") as file:
        await subject.parts.read_tail(key, file, end=size + len(TAIL))
        file.seek(0)
        assert file.read() == TAIL
    await subject.parts.delete_tail(key, end=size + len(TAIL))


async def test_a_tail_that_is_gone_is_reported(subject: Subject, key: str):
    await subject.parts.begin(key)
    with file_of(b"") as file, pytest.raises(UploadMissing):
        await subject.parts.read_tail(key, file, end=5)


async def test_nothing_is_left_after_a_discard(subject: Subject, key: str):
    parts_id = await subject.parts.begin(key)
    await subject.put(key, parts_id, 0, subject.file[: subject.parts.part_bytes])
    with file_of(TAIL) as file:
        await subject.parts.put_tail(key, file, start=0, size=len(TAIL), end=subject.parts.part_bytes + len(TAIL))
    for _ in range(2):
        await subject.parts.discard(key, parts_id)
        assert await subject.keys(key) == []
    # moto responds with 500 instead of NoSuchUpload.
    with pytest.raises((UploadMissing, DependencyUnavailable)):
        await subject.parts.assemble(key, parts_id, size=len(subject.file))
