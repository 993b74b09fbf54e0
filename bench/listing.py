"""The response time of a list page of 50 images, for an owner of 50 images and for an owner of 20,000, over HTTP.

The variable BENCH_IMAGES replaces the number 20,000.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from app.container.aws import open_aws_client
from app.container.backends import open_dynamodb_tables, open_sqlite_tables
from app.container.data_dir import DataDir
from app.domain.ids import id_timestamp, new_id
from app.domain.images import Image, Quota, Thumbnail, ThumbnailStatus
from app.ports.tables import ImageTable
from app.settings import Settings
from app.tables.dynamodb import make_config
from app.tables.dynamodb.keys import IMAGE_PREFIX, user_partition
from tests.acceptance.conftest import PASSWORD, environment_for, started
from tests.aws_emulators import AwsEmulator, aws_emulator

FEW = 50
MANY = int(os.environ.get("BENCH_IMAGES", "20000"))
ROUNDS = 60
CONCURRENCY = 64


def make_image(owner_id: str) -> Image:
    image_id = new_id()
    thumbnails = tuple(
        Thumbnail(size, ThumbnailStatus.READY, "image/jpeg", size, size, 9000) for size in (200, 500, 800)
    )
    return Image(
        id=image_id,
        owner_id=owner_id,
        filename="photo.jpg",
        description=None,
        content_type="image/jpeg",
        size=4_900_000,
        sha256="0" * 64,
        width=4032,
        height=3024,
        uploaded_at=id_timestamp(image_id),
        placeholder="1QcSHQRnh493V4dIh4eXh1h4kJUI",
        thumbnails=thumbnails,
    )


async def add_images(images: ImageTable, owner_id: str, count: int) -> None:
    slots = asyncio.Semaphore(CONCURRENCY)

    async def add() -> None:
        async with slots:
            await images.add(make_image(owner_id), quota=Quota())

    await asyncio.gather(*(add() for _ in range(count)))


async def add_all_images(settings: Settings, counts: dict[str, int]) -> None:
    """Add this number of images for each owner."""
    tables = (
        open_dynamodb_tables(settings)
        if settings.tables == "dynamodb"
        else open_sqlite_tables(DataDir(settings.data_dir), is_only_process=True)
    )
    async with tables as opened:
        for owner_id, count in counts.items():
            await add_images(opened.images, owner_id, count)


async def measure_query(settings: Settings, owner_ids: list[str]) -> list[float]:
    """Return the time in milliseconds of the DynamoDB query by itself, for each owner."""
    async with open_aws_client(settings.aws_service("dynamodb"), make_config()) as aws:

        async def query(owner_id: str) -> float:
            started_at = time.perf_counter()
            await aws.client.query(
                TableName=settings.dynamodb_table_name,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
                ExpressionAttributeValues={":pk": {"S": user_partition(owner_id)}, ":sk": {"S": IMAGE_PREFIX}},
                ScanIndexForward=False,
                ConsistentRead=True,
                Limit=FEW + 1,
            )
            return (time.perf_counter() - started_at) * 1000

        times = [[await query(owner_id) for owner_id in owner_ids] for _ in range(ROUNDS // 2)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def measure_page(client: httpx.Client, headers: dict[str, str]) -> float:
    """Return the response time in milliseconds."""
    started_at = time.perf_counter()
    response = client.get("/api/v1/images", headers=headers)
    assert len(response.json()["items"]) == FEW
    return (time.perf_counter() - started_at) * 1000


def register(client: httpx.Client) -> tuple[str, dict[str, str]]:
    """Create an account. Return its id and the headers that authenticate it."""
    body = {"email": f"bench-{new_id()}@example.com", "password": PASSWORD}
    account: dict[str, Any] = client.post("/api/v1/auth/register", json=body).json()
    return account["user"]["id"], {"Authorization": f"Bearer {account['access_token']}"}


def run(name: str, aws: AwsEmulator | None, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_for(Path(folder) / "service", aws)
        settings = Settings(_env_file=None, **{key.lower(): value for key, value in environment.items()})  # type: ignore[call-arg, arg-type]
        with started(environment) as service, httpx.Client(base_url=service.url, timeout=60) as client:
            accounts = dict(register(client) for _ in range(2))
            owner_ids = list(accounts)
            asyncio.run(add_all_images(settings, dict(zip(owner_ids, (FEW, count), strict=True))))
            query_times = asyncio.run(measure_query(settings, owner_ids)) if aws else []
            times = [[measure_page(client, headers) for headers in accounts.values()] for _ in range(ROUNDS)]
    few, many = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"page of 50 images, {name}: {few:.1f} ms for an owner of {FEW}, {many:.1f} ms for an owner of {count}, "
        f"factor {many / few:.2f}"
    )
    if query_times:
        few, many = query_times
        print(f"  the DynamoDB query alone: {few:.1f} ms and {many:.1f} ms, factor {many / few:.2f}")


def main() -> None:
    run("embedded", None, MANY)
    with aws_emulator() as aws:
        # moto reads the whole table for each query and writes slowly, so its result says little about DynamoDB.
        run(f"aws ({aws.name})", aws, min(500, MANY) if aws.name == "moto" else MANY)


if __name__ == "__main__":
    main()
