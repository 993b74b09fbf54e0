"""Assembles objects from parts with multipart uploads of S3. The tail is too small for a part, so it is an object."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import ClientError

from app.common.blocking_io import run_blocking_io
from app.domain.errors import ObjectMissing, UploadMissing
from app.domain.formats import UNKNOWN_TYPE
from app.domain.object_keys import check_key
from app.ports.storage import ObjectStore
from app.storage.s3.calls import response_within
from app.storage.s3.files import FileSlice

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

_PART_BYTES = 5 * 1024 * 1024  # The minimum that S3 accepts for all parts except the last.
_CALL_SECONDS = 15
_TRANSFER_SECONDS = 60
_CONCURRENT_PARTS = 8


class S3PartStore:
    """The lifecycle rules of infra/template.yaml delete parts and tails that no process has deleted."""

    part_bytes = _PART_BYTES

    def __init__(self, client: S3Client, *, bucket: str, store: ObjectStore) -> None:
        """`store` is the object store of the same bucket."""
        self._client = client
        self._bucket = bucket
        self._store = store
        self._slots = asyncio.Semaphore(_CONCURRENT_PARTS)

    async def begin(self, key: str, *, content_type: str = UNKNOWN_TYPE) -> str:
        async with response_within(_CALL_SECONDS):
            response = await self._client.create_multipart_upload(
                Bucket=self._bucket, Key=check_key(key), ContentType=content_type
            )
        return response["UploadId"]

    async def require_space(self, size: int) -> None:
        """Return: S3 has room."""

    async def put_part(self, key: str, parts_id: str, number: int, file: BinaryIO, *, start: int, size: int) -> None:
        body = FileSlice(file.fileno(), start=start, size=size)
        digest = await run_blocking_io(_md5, body)
        await self._upload(key, parts_id, number, cast("IO[bytes]", body), size=size, digest=digest)

    async def put_bytes(self, key: str, parts_id: str, number: int, data: bytes, *, at: int) -> None:  # noqa: ARG002
        digest = await asyncio.to_thread(hashlib.md5, data, usedforsecurity=False)
        await self._upload(key, parts_id, number, data, size=len(data), digest=digest.digest())

    async def _upload(
        self, key: str, parts_id: str, number: int, body: IO[bytes] | bytes, *, size: int, digest: bytes
    ) -> None:
        async with self._slots, response_within(_TRANSFER_SECONDS):
            try:
                await self._client.upload_part(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=parts_id,
                    PartNumber=number + 1,
                    Body=body,
                    ContentLength=size,
                    ContentMD5=base64.b64encode(digest).decode(),
                )
            except ClientError as error:
                raise _refusal(error) from error

    async def put_tail(self, key: str, file: BinaryIO, *, start: int, size: int, end: int) -> None:
        body = FileSlice(file.fileno(), start=start, size=size)
        data = await run_blocking_io(body.read)
        await self._store.put(_tail_key(key, end), data, content_type=UNKNOWN_TYPE)

    async def read_tail(self, key: str, file: BinaryIO, *, end: int) -> None:
        try:
            await self._store.fetch(_tail_key(key, end), file, max_bytes=_PART_BYTES)
        except ObjectMissing:
            raise UploadMissing from None

    async def delete_tail(self, key: str, *, end: int) -> None:
        await self._store.delete([_tail_key(key, end)])

    async def assemble(self, key: str, parts_id: str, *, size: int) -> None:
        try:
            parts = await self._list_parts(key, parts_id, size=size)
            async with response_within(_TRANSFER_SECONDS):
                try:
                    await self._client.complete_multipart_upload(
                        Bucket=self._bucket, Key=key, UploadId=parts_id, MultipartUpload={"Parts": parts}
                    )
                except ClientError as error:
                    raise _refusal(error) from error
        except UploadMissing:
            # An earlier call may have assembled the object although its response was lost.
            if await self._store.size(key) != size:
                raise

    async def discard(self, key: str, parts_id: str) -> None:
        async with response_within(_CALL_SECONDS):
            try:
                await self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=parts_id)
            except ClientError as error:
                if not _is_gone(error):
                    raise
        await self._store.delete([stored.key async for stored in self._store.walk(key)])

    async def _list_parts(self, key: str, parts_id: str, *, size: int) -> list[CompletedPartTypeDef]:
        """Return all parts in order. There are at most 1,000, because the largest file has 1 GiB.

        Raises UploadMissing unless they have `size` bytes in total.
        """
        async with response_within(_CALL_SECONDS):
            try:
                response = await self._client.list_parts(Bucket=self._bucket, Key=key, UploadId=parts_id)
            except ClientError as error:
                raise _refusal(error) from error
        parts = sorted(response.get("Parts", []), key=lambda part: part["PartNumber"])
        if sum(part["Size"] for part in parts) != size:
            raise UploadMissing
        return [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]


def _tail_key(key: str, end: int) -> str:
    # With the number of bytes in the key, a request that was replaced cannot overwrite the tail of its successor.
    return check_key(f"{key}.tail-{end}")


def _md5(body: FileSlice) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    while chunk := body.read(1 << 18):
        digest.update(chunk)
    body.seek(0)
    return digest.digest()


def _is_gone(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") in ("NoSuchUpload", "404", "NoSuchKey")


def _refusal(error: ClientError) -> Exception:
    return UploadMissing() if _is_gone(error) else error
