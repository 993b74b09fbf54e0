"""Measures how fast the records and objects of an account are deleted from S3 and DynamoDB (on an emulator).

Run it with `python -m infra.with_aws_emulator ministack python -m bench.account_deletion [IMAGES]`.
"""
# ruff: noqa: SLF001 - only the part that deletes is measured

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import Any, cast

from app.container.aws import AwsClient
from app.domain.ids import new_id
from app.domain.images import Image, Quota
from app.services.account_deletion import AccountDeletion
from app.storage.s3.store import S3ObjectStore
from app.tables.dynamodb import DynamoDBImageTable, DynamoDBTable
from tests.aws_emulators import AwsEmulator, aws_emulator
from tests.contracts.object_stores import open_s3
from tests.contracts.tables import READY, make_image, open_table

_CONCURRENCY = 32
_THUMBNAILS = tuple(replace(READY, size=size) for size in (200, 500, 800))


class SilentAttempt:
    """An attempt at the job, which saves nothing."""

    def __init__(self, owner_id: str) -> None:
        self.job = type("Job", (), {"owner_id": owner_id, "progress": 0})()

    async def report(self, *, progress: int) -> None:
        self.job.progress = progress


async def measure(aws: AwsEmulator, *, images: int) -> None:
    owner = new_id()
    async with open_s3(aws.service("s3")) as s3, open_table(aws) as table:
        store = S3ObjectStore(s3.client, bucket=aws.bucket, signer=cast("Any", None), clock=s3.clock)
        records = DynamoDBImageTable(table)
        await fill(store, records, [make_image(owner, thumbnails=_THUMBNAILS) for _ in range(images)])
        requests = count_requests(s3, table)
        deletion: Any = object.__new__(AccountDeletion)
        deletion._images, deletion._store = records, store
        started = time.monotonic()
        await deletion._delete_images(SilentAttempt(owner))
        await deletion._delete_objects(f"images/{owner}/")
        seconds = time.monotonic() - started
        assert [image async for image in records.walk(owner)] == []
        assert [stored async for stored in store.walk(f"images/{owner}/")] == []
    print(f"{images} images: {seconds:.1f} s, {images / seconds:.0f} images/s, requests: {dict(requests)}")


async def fill(store: S3ObjectStore, records: DynamoDBImageTable, images: list[Image]) -> None:
    slots = asyncio.Semaphore(_CONCURRENCY)

    async def add(image: Image) -> None:
        async with slots:
            for key in image.object_keys:
                await store.put(key, b"x", content_type="image/jpeg")
            await records.add(image, quota=Quota())

    await asyncio.gather(*map(add, images))


def count_requests(s3: AwsClient, table: DynamoDBTable) -> Counter[str]:
    requests: Counter[str] = Counter()

    def count(model: Any, **_event: object) -> None:  # noqa: ANN401 - botocore has no types
        requests[model.name] += 1

    s3.client.meta.events.register("before-call.s3", count)
    cast("Any", table)._client.meta.events.register("before-call.dynamodb", count)
    return requests


if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    with aws_emulator() as emulator:
        asyncio.run(measure(emulator, images=int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
