"""Receives the bytes of one request to a resumable upload, and stores them in parts."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import BinaryIO

import structlog

from app.common.blocking_io import run_blocking_io
from app.common.hashing_writer import BLOCK_BYTES
from app.domain.errors import AppError, ChecksumMismatch, UploadLocked, UploadMissing, file_too_large
from app.domain.uploads import DirectUpload
from app.ports.part_store import PartStore
from app.ports.upload_table import DirectUploadTable

_RENEW_SECONDS = 2

_log = structlog.stdlib.get_logger(__name__)


class PartWriter:
    """Writes to an upload that this request holds.

    The bytes are collected in a temporary file that begins where a part begins. As soon as a part is complete, it is
    stored, and then `received` is increased in the record. If the request has a checksum, both wait until it was
    verified.
    """

    def __init__(self, upload: DirectUpload, table: DirectUploadTable, parts: PartStore) -> None:
        self.upload = upload
        self._table = table
        self._parts = parts
        self._part_bytes = parts.part_bytes
        self._first = upload.received - upload.received % parts.part_bytes
        """Where the temporary file begins. This and the next two are positions in the file that is uploaded."""
        self._stored = self._first
        """The end of the complete parts that are stored."""
        self._end = upload.received
        """The end of the temporary file."""
        self._block = bytearray()
        """Bytes that are not in the temporary file yet."""
        self._renewed_at = 0.0

    async def receive(self, spool: BinaryIO, body: AsyncIterator[bytes], *, sha1: bytes | None) -> bool:
        """Store the bytes of `body`, and return whether the object is complete now. `spool` is an empty file.

        If `body` raises, the bytes before that are stored, unless there is a checksum. Raises UploadLocked,
        UploadMissing, UploadTooLarge and ChecksumMismatch.
        """
        upload = self.upload
        if self._end > self._first:
            await self._parts.read_tail(upload.key, spool, end=self._end)
        digest = hashlib.sha1(usedforsecurity=False)
        try:
            async for chunk in body:
                digest.update(chunk)
                await self._add(spool, chunk)
                if sha1 is None:
                    await self._store_parts(spool)
                await self._renew()
        except AppError:
            raise
        except BaseException:
            if sha1 is None:
                await asyncio.shield(self._keep(spool))
            raise
        if sha1 is not None and digest.digest() != sha1:
            raise ChecksumMismatch
        await self._flush(spool)
        await self._store_parts(spool)
        if self._end < upload.size:
            await self._store_tail(spool)
            return False
        await self._assemble(spool)
        return True

    async def release(self) -> None:
        """Let other requests send bytes. If this fails, they take over after some seconds."""
        try:
            await self._save(self.upload.received, is_held=False)
        except AppError as error:
            _log.info("upload.not_released", upload_id=self.upload.id, cause=error.code)

    async def _add(self, spool: BinaryIO, chunk: bytes) -> None:
        if self._end + len(self._block) + len(chunk) > self.upload.size:
            raise file_too_large(self.upload.size)
        self._block += chunk
        if len(self._block) >= BLOCK_BYTES:
            await self._flush(spool)

    async def _flush(self, spool: BinaryIO) -> None:
        block, self._block = self._block, bytearray()
        await run_blocking_io(_write, spool.fileno(), block, self._end - self._first)
        self._end += len(block)

    async def _store_parts(self, spool: BinaryIO) -> None:
        """Store all parts that are complete in the temporary file."""
        while self._stored + self._part_bytes <= self._end:
            await self._put_part(spool, self._part_bytes)
            # All bytes count as received only once the image is durable.
            if self._stored < self.upload.size:
                await self._save_and_delete_tail(self._stored)

    async def _put_part(self, spool: BinaryIO, size: int) -> None:
        upload, start = self.upload, self._stored - self._first
        number = self._stored // self._part_bytes
        await self._parts.put_part(upload.key, upload.parts_id or "", number, spool, start=start, size=size)
        self._stored += size

    async def _store_tail(self, spool: BinaryIO) -> None:
        if self._end == self.upload.received:
            return
        size = self._end - self._stored
        if size:
            start = self._stored - self._first
            await self._parts.put_tail(self.upload.key, spool, start=start, size=size, end=self._end)
        await self._save_and_delete_tail(self._end)

    async def _assemble(self, spool: BinaryIO) -> None:
        upload = self.upload
        if self._stored < upload.size:
            await self._put_part(spool, upload.size - self._stored)
        await self._parts.assemble(upload.key, upload.parts_id or "", size=upload.size)
        await self._delete_tail(upload.received)

    async def _keep(self, spool: BinaryIO) -> None:
        """Store what has arrived of a request that was interrupted."""
        try:
            await self._flush(spool)
            await self._store_parts(spool)
            if self._end < self.upload.size:
                await self._store_tail(spool)
        except AppError as error:
            _log.info("upload.bytes_not_kept", upload_id=self.upload.id, cause=error.code)

    async def _save_and_delete_tail(self, received: int) -> None:
        previous = self.upload.received
        await self._save(received)
        await self._delete_tail(previous)

    async def _delete_tail(self, end: int) -> None:
        if end % self._part_bytes == 0:
            return
        try:
            await self._parts.delete_tail(self.upload.key, end=end)
        except AppError as error:
            # Reconcile runs or the lifecycle rule of the bucket delete the tail a day later.
            _log.warning("objects.left_for_reconcile", upload_id=self.upload.id, cause=error.code)

    async def _renew(self) -> None:
        """Show other requests that bytes are arriving."""
        if asyncio.get_running_loop().time() >= self._renewed_at + _RENEW_SECONDS:
            await self._save(self.upload.received)

    async def _save(self, received: int, *, is_held: bool = True) -> None:
        """Save the progress. Raises UploadLocked if another request has taken over, or UploadMissing."""
        holder = self.upload.holder if is_held else None
        saved = replace(self.upload, received=received, holder=holder, version=self.upload.version + 1)
        if not await self._table.save_progress(saved, seen=self.upload):
            is_there = await self._table.find_upload(self.upload.owner_id, self.upload.id)
            raise UploadLocked if is_there else UploadMissing
        self.upload = saved
        self._renewed_at = asyncio.get_running_loop().time()


def _write(fd: int, block: bytearray, position: int) -> None:
    rest = memoryview(block)
    while rest:  # the operating system may write less than it was given
        written = os.pwrite(fd, rest, position)
        position += written
        rest = rest[written:]
