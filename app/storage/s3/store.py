"""Stores objects in an S3 bucket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import aiohttp
import stamina
from botocore.exceptions import BotoCoreError, ClientError

from app.common.content_disposition import attachment
from app.domain.errors import DependencyUnavailable, ObjectMissing
from app.domain.object_keys import INCOMING_PREFIX, check_key, check_prefix
from app.domain.objects import BRIEF_SECONDS, PresignedPost, SignedUrl, SignedUrls, StoredObject
from app.storage.s3.calls import is_missing, response_within
from app.storage.s3.files import FileSlice, save_to_file
from app.storage.s3.multipart import MultipartUpload

if TYPE_CHECKING:
    from aiobotocore.response import StreamingBody
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import ErrorTypeDef

MAX_SINGLE_PUT_BYTES = 8 * 1024 * 1024
MAX_FILE_BODIES = 12
"""How many files and parts are sent to S3 concurrently. Each of them uses the buffers of one connection."""
MAX_KEYS_PER_DELETE = 1000
_DELETE_PAUSES = (0.5, 2)
"""How long to wait before the keys that were not deleted are tried again."""
_TRANSIENT_ERRORS = {"InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout"}

_FETCH_ATTEMPTS = 3
# For all attempts together. aiohttp's own timeouts include neither sending a body nor waiting for a connection.
_CALL_SECONDS = 15
_TRANSFER_SECONDS = 60
_MIN_BYTES_PER_SECOND = 1 << 20

# The content of a key never changes.
_CACHE_CONTROL = "private, max-age=31536000, immutable"


class UrlSigner(Protocol):
    async def sign(self, key: str, *, disposition: str | None = None) -> SignedUrl: ...

    async def sign_all(self, keys: Sequence[str]) -> SignedUrls: ...


class Signer(UrlSigner, Protocol):
    async def sign_briefly(self, key: str, *, seconds: int, disposition: str | None = None) -> SignedUrl: ...

    async def presign_post(
        self, key: str, *, content_type: str, size: int, sha256: str | None, expires_at: datetime
    ) -> PresignedPost: ...

    async def presign_put(self, key: str, *, size: int, expires_at: datetime) -> SignedUrl: ...


class S3ObjectStore:
    """The credentials also need s3:ListBucket: without it, S3 responds with 403 instead of 404 for a missing key."""

    def __init__(
        self,
        client: S3Client,
        *,
        bucket: str,
        signer: Signer,
        clock: Callable[[], datetime],
        cdn: UrlSigner | None = None,
    ) -> None:
        """`clock` returns the time of S3, according to its latest response. `cdn` signs the URLs that read objects, if
        it is given; otherwise `signer` does.
        """
        self._client = client
        self._clock = clock
        self._bucket = bucket
        self._signer = signer
        self._reading_signer = cdn or signer
        self._body_slots = asyncio.Semaphore(MAX_FILE_BODIES)
        self._aborts: set[asyncio.Task[None]] = set()

    async def put_file(
        self,
        key: str,
        file: BinaryIO,
        *,
        size: int,
        sha256: str,
        content_type: str,
        durable: bool = True,  # noqa: ARG002 - S3 stores nothing that is not durable
    ) -> None:
        check_key(key)
        if size <= MAX_SINGLE_PUT_BYTES:
            body = FileSlice(file.fileno(), start=0, size=size)
            async with self._body_slots:
                await self._put(key, body, sha256=bytes.fromhex(sha256), content_type=content_type)
        else:
            await self._put_in_parts(key, file.fileno(), size=size, content_type=content_type)

    async def put(self, key: str, data: bytes, *, content_type: str, durable: bool = True) -> None:  # noqa: ARG002
        await self._put(check_key(key), data, sha256=hashlib.sha256(data).digest(), content_type=content_type)

    async def make_durable(self, keys: Collection[str]) -> None:
        """Do nothing: objects are durable once they are stored."""

    async def _put(self, key: str, body: FileSlice | bytes, *, sha256: bytes, content_type: str) -> None:
        async with response_within(_TRANSFER_SECONDS):
            await self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=cast("IO[bytes] | bytes", body),
                ChecksumSHA256=base64.b64encode(sha256).decode(),
                ContentType=content_type,
                CacheControl=_CACHE_CONTROL,
            )

    async def _put_in_parts(self, key: str, fd: int, *, size: int, content_type: str) -> None:
        async with response_within(_CALL_SECONDS):
            response = await self._client.create_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                ContentType=content_type,
                CacheControl=_CACHE_CONTROL,
                ChecksumAlgorithm="SHA256",
            )
        upload = MultipartUpload(self._client, self._body_slots, self._bucket, key, response["UploadId"])
        try:
            await upload.complete(await upload.put_parts(fd, size=size))
        except BaseException:
            await self._abort(upload)
            raise

    async def _abort(self, upload: MultipartUpload) -> None:
        # Shielded, because a second cancellation would otherwise leave stored parts, which AWS charges for.
        task = asyncio.create_task(upload.abort())
        self._aborts.add(task)
        task.add_done_callback(self._aborts.discard)
        await asyncio.shield(task)

    async def delete(self, keys: Collection[str]) -> None:
        ordered = [check_key(key) for key in keys]
        for start in range(0, len(ordered), MAX_KEYS_PER_DELETE):
            await self._delete(ordered[start : start + MAX_KEYS_PER_DELETE])

    async def _delete(self, keys: Sequence[str]) -> None:
        """Delete up to 1,000 objects. S3 reports the result for each key, whatever the status of the response is."""
        errors: Sequence[ErrorTypeDef] = ()
        for pause in (*_DELETE_PAUSES, None):
            async with response_within(_CALL_SECONDS):
                response = await self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
                )
            errors = [error for error in response.get("Errors", []) if error.get("Code") != "NoSuchKey"]
            if not errors:
                return
            if pause is None or any(error.get("Code") not in _TRANSIENT_ERRORS for error in errors):
                break
            await asyncio.sleep(pause)
            keys = [error["Key"] for error in errors if "Key" in error]
        first = errors[0]
        cause = f"{len(errors)} of {len(keys)} keys were not deleted: {first.get('Code')}, {first.get('Message')}"
        raise DependencyUnavailable("store") from RuntimeError(cause)

    async def size(self, key: str) -> int | None:
        found = await self.find(key)
        return found.size if found else None

    async def find(self, key: str) -> StoredObject | None:
        check_key(key)
        async with response_within(_CALL_SECONDS):
            try:
                response = await self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        return StoredObject(key, response["ContentLength"], response["LastModified"])

    async def touch(self, key: str) -> None:
        check_key(key)
        async with response_within(_CALL_SECONDS):
            try:
                head = await self._client.head_object(Bucket=self._bucket, Key=key)
                # S3 accepts a copy of an object onto itself only if it replaces the metadata.
                await self._client.copy_object(
                    Bucket=self._bucket,
                    Key=key,
                    CopySource={"Bucket": self._bucket, "Key": key},
                    MetadataDirective="REPLACE",
                    ContentType=head["ContentType"],
                    CacheControl=_CACHE_CONTROL,
                )
            except ClientError as error:
                if not is_missing(error):
                    raise

    async def read(self, key: str, *, start: int, size: int) -> bytes:
        data = b""
        async with response_within(_TRANSFER_SECONDS + size / _MIN_BYTES_PER_SECOND):
            async for attempt in _read_attempts():
                with attempt:
                    data = await self._read(check_key(key), f"bytes={start}-{start + size - 1}")
        return data

    async def _read(self, key: str, byte_range: str) -> bytes:
        try:
            response = await self._client.get_object(Bucket=self._bucket, Key=key, Range=byte_range)
        except self._client.exceptions.NoSuchKey:
            raise ObjectMissing from None
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "InvalidRange":
                return b""  # The object ends before the range.
            raise
        async with response["Body"] as body:
            data: bytes = await body.read()
            return data

    async def fetch(self, key: str, file: BinaryIO, *, max_bytes: int) -> str:
        check_key(key)
        async with response_within(_TRANSFER_SECONDS + max_bytes / _MIN_BYTES_PER_SECOND):
            sha256 = ""
            async for attempt in _read_attempts():
                with attempt:
                    sha256 = await save_to_file(await self._open(key), file.fileno(), max_bytes=max_bytes)
            return sha256

    async def _open(self, key: str) -> StreamingBody:
        try:
            response = await self._client.get_object(Bucket=self._bucket, Key=key)
        except self._client.exceptions.NoSuchKey:
            raise ObjectMissing from None
        return response["Body"]

    async def walk(self, prefix: str, *, after: str = "") -> AsyncIterator[StoredObject]:
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": check_prefix(prefix)}
        if after:
            request["StartAfter"] = after
        while True:
            async with response_within(_CALL_SECONDS):
                page = await self._client.list_objects_v2(**request)
            for entry in page.get("Contents", []):
                yield StoredObject(entry["Key"], entry["Size"], entry["LastModified"])
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    async def now(self) -> datetime:
        async with response_within(_CALL_SECONDS):
            await self._client.head_bucket(Bucket=self._bucket)
        return self._clock()

    async def sign_url(self, key: str, *, filename: str | None = None) -> SignedUrl:
        disposition = None if filename is None else attachment(filename)
        return await self._reading_signer.sign(check_key(key), disposition=disposition)

    async def sign_urls(self, keys: Sequence[str]) -> SignedUrls:
        return await self._reading_signer.sign_all([check_key(key) for key in keys])

    async def sign_url_briefly(self, key: str, *, filename: str | None = None) -> SignedUrl:
        disposition = None if filename is None else attachment(filename)
        return await self._signer.sign_briefly(check_key(key), seconds=BRIEF_SECONDS, disposition=disposition)

    async def presign_post(
        self, key: str, *, content_type: str, size: int, sha256: str | None, expires_at: datetime
    ) -> PresignedPost:
        if not check_key(key).startswith(INCOMING_PREFIX):
            raise ValueError(f"a form must not write to {key!r}")
        return await self._signer.presign_post(
            key, content_type=content_type, size=size, sha256=sha256, expires_at=expires_at
        )

    async def presign_put(self, key: str, *, size: int, expires_at: datetime) -> SignedUrl:
        if not check_key(key).startswith(INCOMING_PREFIX):
            raise ValueError(f"a URL for uploads must not write to {key!r}")
        return await self._signer.presign_put(key, size=size, expires_at=expires_at)

    async def check(self) -> None:
        async with response_within(_CALL_SECONDS):
            try:
                await self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if is_missing(error):
                    raise RuntimeError(
                        f"The bucket {self._bucket!r} does not exist. Run setup_localstack.sh, or deploy "
                        "infra/template.yaml."
                    ) from error
                raise


def _read_attempts() -> AsyncIterator[stamina.Attempt]:
    # botocore retries requests, but not responses that end early after their headers.
    return aiter(
        stamina.retry_context(
            on=(BotoCoreError, aiohttp.ClientError), attempts=_FETCH_ATTEMPTS, timeout=None, wait_initial=0.2
        )
    )
