"""Stores a large file with a multipart upload of S3."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from app.domain.errors import DependencyUnavailable
from app.storage.s3.calls import response_within
from app.storage.s3.files import FileSlice

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

_MAX_PARTS = 10_000
_MIN_PART_BYTES = 5 * 1024 * 1024
"""What S3 accepts for all parts except the last."""
_TRANSFER_SECONDS = 60
_ABORT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class MultipartUpload:
    """`body_slots` limits how many parts are sent concurrently."""

    client: S3Client
    body_slots: asyncio.Semaphore
    bucket: str
    key: str
    upload_id: str

    async def put_parts(self, fd: int, *, size: int) -> list[CompletedPartTypeDef]:
        length = max(_MIN_PART_BYTES, math.ceil(size / _MAX_PARTS))
        slices = [FileSlice(fd, start=at, size=min(length, size - at)) for at in range(0, size, length)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._put_part(n, body)) for n, body in enumerate(slices, start=1)]
        except ExceptionGroup as failures:
            first = failures.exceptions[0]
            raise first from first.__cause__
        return [task.result() for task in tasks]

    async def _put_part(self, number: int, body: FileSlice) -> CompletedPartTypeDef:
        async with self.body_slots, response_within(_TRANSFER_SECONDS):
            checksum = base64.b64encode(await asyncio.to_thread(body.sha256)).decode()
            response = await self.client.upload_part(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=self.upload_id,
                PartNumber=number,
                Body=cast("IO[bytes]", body),
                ChecksumSHA256=checksum,
            )
        return {"PartNumber": number, "ETag": response["ETag"], "ChecksumSHA256": checksum}

    async def complete(self, parts: Sequence[CompletedPartTypeDef]) -> None:
        async with response_within(_TRANSFER_SECONDS):
            await self.client.complete_multipart_upload(
                Bucket=self.bucket, Key=self.key, UploadId=self.upload_id, MultipartUpload={"Parts": parts}
            )

    async def abort(self) -> None:
        # If this fails, the bucket's lifecycle rule removes the parts after a day.
        with suppress(DependencyUnavailable):
            async with response_within(_ABORT_SECONDS):
                await self.client.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=self.upload_id)
