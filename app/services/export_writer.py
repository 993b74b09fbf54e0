"""Writes a ZIP file into the object store in parts, with checkpoints from which another process can continue.

Beside the file `<key>`, which exists only once it is complete, the store holds `<key>.checkpoint` and the lists
`<key>.list-0`, `<key>.list-1`, …: what the directory and metadata.json will contain, for some thousand images each.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.domain.errors import ExportTooLarge, ObjectMissing
from app.ports.part_store import PartStore
from app.ports.storage import ObjectStore
from app.services.export_zip import Member, directory_entry, end_of_directory, member_header

PART_BYTES = 32 * 1024 * 1024
"""An export needs memory for two parts and one block that is read."""
MAX_PARTS = 10_000
"""The maximum of S3."""
READ_BYTES = 8 * 1024 * 1024
_CHECKPOINT_BYTES = 256 * 1024 * 1024
_CHECKPOINT_LINES = 2000
_JSON = "application/json"

Line = Mapping[str, Any]


@dataclass(slots=True)
class _Checkpoint:
    parts_id: str
    parts: int = 0
    stored: int = 0
    """Bytes in the parts. The bytes of the file that follow are in the checkpoint itself."""
    lists: int = 0
    after: str = ""
    """The id of the last image that is in the file or was left out."""
    images: int = 0
    left_out: int = 0


class ExportWriter:
    def __init__(
        self, store: ObjectStore, parts: PartStore, *, key: str, checkpoint: _Checkpoint, unstored: bytes
    ) -> None:
        self._store = store
        self._parts = parts
        self._key = key
        self._at = checkpoint
        self._buffer = bytearray(unstored)
        self._lines: list[Line] = []
        self._saved_size = self._size

    @property
    def after(self) -> str:
        return self._at.after

    @property
    def images(self) -> int:
        """How many images are in the file."""
        return self._at.images

    @property
    def left_out(self) -> int:
        return self._at.left_out

    async def add(self, name: str, data: Callable[[], AsyncIterator[bytes]], *, time: datetime) -> None:
        """Append a member. `data` is called twice, so that the checksum is known before the first byte is written.

        Raises ObjectMissing, and ValueError if the data differ in the second call, after which the file is unusable:
        continue from the checkpoint.
        """
        size, crc32 = await _measure(data)
        member = Member(name, size, crc32, time, self._size)
        await self._write(member_header(member))
        written = check = 0
        async for block in data():
            written, check = written + len(block), zlib.crc32(block, check)
            await self._write(block)
        if (written, check) != (size, crc32):
            raise ValueError(f"{name} changed while it was being read")
        self._lines.append({"member": {**asdict(member), "time": time.isoformat()}})

    async def count(self, image_id: str, line: Line) -> None:
        """Record what metadata.json says about an image that was added or left out. Save a checkpoint if it is due."""
        self._lines.append(line)
        self._at.after = image_id
        self._at.images += "image" in line
        self._at.left_out += "left_out" in line
        if len(self._lines) >= _CHECKPOINT_LINES or self._size - self._saved_size >= _CHECKPOINT_BYTES:
            await self.save()

    async def names(self) -> AsyncIterator[str]:
        async for line in self._all_lines():
            if "member" in line:
                yield line["member"]["name"]

    async def finish(self, *, time: datetime, with_metadata: bool = True) -> None:
        """Append metadata.json and the directory, and make the object of the parts. Raises UploadMissing."""
        if with_metadata:
            await self.add("metadata.json", self._metadata, time=time)
        start = self._size
        entries = 0
        async for line in self._all_lines():
            if "member" in line:
                fields = line["member"]
                await self._write(directory_entry(Member(**{**fields, "time": datetime.fromisoformat(fields["time"])})))
                entries += 1
        await self._write(end_of_directory(entries=entries, size=self._size - start, offset=start))
        if self._buffer:
            await self._put_part()
        await self._parts.assemble(self._key, self._at.parts_id, size=self._size)
        await _delete_notes(self._store, self._key, lists=self._at.lists)

    async def discard(self) -> None:
        """Delete everything that is stored, also if the checkpoint is already deleted."""
        await self._parts.discard(self._key, self._at.parts_id)
        await _delete_notes(self._store, self._key, lists=self._at.lists)

    async def _metadata(self) -> AsyncIterator[bytes]:
        for before, field in ((b'{"images": [', "image"), (b'\n],\n"left_out": [', "left_out")):
            yield before
            separator = b"\n"
            async for line in self._all_lines():
                if field in line:
                    yield separator + json.dumps(line[field]).encode()
                    separator = b",\n"
        yield b"]}\n"

    async def _all_lines(self) -> AsyncIterator[Any]:
        for number in range(self._at.lists):
            for line in (await _read(self._store, _list_key(self._key, number))).splitlines():
                yield json.loads(line)
        for recent in self._lines:
            yield recent

    @property
    def _size(self) -> int:
        return self._at.stored + len(self._buffer)

    async def _write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            await self._put_part()

    async def _put_part(self) -> None:
        if self._at.parts == MAX_PARTS:
            raise ExportTooLarge
        part = bytes(memoryview(self._buffer)[:PART_BYTES])
        await self._parts.put_bytes(self._key, self._at.parts_id, self._at.parts, part, at=self._at.stored)
        del self._buffer[:PART_BYTES]
        self._at.parts += 1
        self._at.stored += len(part)

    async def save(self) -> None:
        """Save a checkpoint."""
        if self._lines:
            lines = b"".join(json.dumps(line).encode() + b"\n" for line in self._lines)
            await self._store.put(_list_key(self._key, self._at.lists), lines, content_type=_JSON)
            self._at.lists += 1
        state = json.dumps(asdict(self._at)).encode() + b"\n" + self._buffer
        await self._store.put(_checkpoint_key(self._key), state, content_type=_JSON)
        self._lines = []
        self._saved_size = self._size


async def open_export(store: ObjectStore, parts: PartStore, key: str) -> ExportWriter:
    """Return a writer that continues from the checkpoint of an earlier attempt, or begins."""
    found = await _find_checkpoint(store, key)
    if found is None:
        checkpoint, unstored = _Checkpoint(await parts.begin(key, content_type="application/zip")), b""
        writer = ExportWriter(store, parts, key=key, checkpoint=checkpoint, unstored=unstored)
        # Saved at once, so that the parts can be deleted however the attempt ends.
        await writer.save()
        return writer
    return ExportWriter(store, parts, key=key, checkpoint=found[0], unstored=found[1])


async def discard_export(store: ObjectStore, parts: PartStore, key: str) -> None:
    """Delete everything of an export that was not finished. What is missing is ignored."""
    if found := await _find_checkpoint(store, key):
        await parts.discard(key, found[0].parts_id)
        await _delete_notes(store, key, lists=found[0].lists)


async def delete_checkpoint(store: ObjectStore, key: str) -> None:
    """Delete what was stored beside a file that is complete. What is missing is ignored."""
    if found := await _find_checkpoint(store, key):
        await _delete_notes(store, key, lists=found[0].lists)


async def _find_checkpoint(store: ObjectStore, key: str) -> tuple[_Checkpoint, bytes] | None:
    try:
        state, _, unstored = (await _read(store, _checkpoint_key(key))).partition(b"\n")
    except ObjectMissing:
        return None
    return _Checkpoint(**json.loads(state)), unstored


async def _delete_notes(store: ObjectStore, key: str, *, lists: int) -> None:
    # One more list than the checkpoint names may have been stored before a crash. The checkpoint is deleted last.
    await store.delete([_list_key(key, number) for number in range(lists + 1)])
    await store.delete([_checkpoint_key(key)])


async def _read(store: ObjectStore, key: str) -> bytes:
    return b"".join([block async for block in read_object(store, key)])


async def read_object(store: ObjectStore, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
    """Yield the content of the object from `start`, in blocks. Raises ObjectMissing."""
    while block := await store.read(key, start=start, size=READ_BYTES):
        yield block
        if len(block) < READ_BYTES:
            return
        start += len(block)


async def _measure(data: Callable[[], AsyncIterator[bytes]]) -> tuple[int, int]:
    size = crc32 = 0
    async for block in data():
        size, crc32 = size + len(block), zlib.crc32(block, crc32)
    return size, crc32


def _checkpoint_key(key: str) -> str:
    return f"{key}.checkpoint"


def _list_key(key: str, number: int) -> str:
    return f"{key}.list-{number}"
