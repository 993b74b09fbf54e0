"""A list page of 50, for an owner of 50 images beside an owner of 20,000, over HTTP."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from app.adapters.dynamodb import open_dynamodb
from app.adapters.dynamodb.items import IMAGE_PREFIX, user_partition
from app.core.ids import made_at, new_id
from app.core.models import Image, Quota, Thumbnail, ThumbnailStatus
from app.core.ports import ImageTable
from app.data_dir import DataDir
from app.settings import Settings
from app.storage import open_storage
from tests.acceptance.conftest import PASSWORD, environment_for, started
from tests.stand_ins import StandIn, stand_in

FEW = 50
MANY = int(os.environ.get("BENCH_IMAGES", "20000"))
ROUNDS = 60
AT_ONCE = 64


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
        uploaded_at=made_at(image_id),
        placeholder="1QcSHQRnh493V4dIh4eXh1h4kJUI",
        thumbnails=thumbnails,
    )


async def fill(images: ImageTable, owner_id: str, count: int) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def add() -> None:
        async with places:
            await images.add(make_image(owner_id), quota=Quota())

    await asyncio.gather(*(add() for _ in range(count)))


async def fill_both(settings: Settings, few: str, many: str, count: int) -> None:
    async with open_storage(settings, DataDir(settings.data_dir)) as storage:
        await fill(storage.images, few, FEW)
        await fill(storage.images, many, count)


async def bare_query_milliseconds(settings: Settings, owners: list[str]) -> list[float]:
    """Return what the same Query takes by itself: what of a page's time is the table's."""
    async with open_dynamodb(
        settings.dynamodb_table_name,
        region=settings.aws_default_region,
        endpoint_url=settings.localstack_endpoint_url,
        access_key=settings.aws_access_key_id,
        secret_key="test",
    ) as table:

        async def ask(owner_id: str) -> float:
            began = time.perf_counter()
            await table._client.query(  # noqa: SLF001 - the bare client is what is measured
                TableName=settings.dynamodb_table_name,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
                ExpressionAttributeValues={":pk": {"S": user_partition(owner_id)}, ":sk": {"S": IMAGE_PREFIX}},
                ScanIndexForward=False,
                ConsistentRead=True,
                Limit=FEW + 1,
            )
            return (time.perf_counter() - began) * 1000

        times = [[await ask(owner_id) for owner_id in owners] for _ in range(ROUNDS // 2)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def page_seconds(client: httpx.Client, headers: dict[str, str]) -> float:
    began = time.perf_counter()
    response = client.get("/api/v1/images", headers=headers)
    assert len(response.json()["items"]) == FEW
    return time.perf_counter() - began


def run(name: str, aws: StandIn | None, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_for(Path(folder) / "service", aws)
        settings = Settings(_env_file=None, **{key.lower(): value for key, value in environment.items()})  # type: ignore[call-arg, arg-type]
        with started(environment) as service, httpx.Client(base_url=service.url, timeout=60) as client:
            people = []
            for _ in range(2):
                body = {"email": f"bench-{new_id()}@example.com", "password": PASSWORD}
                people.append(client.post("/api/v1/auth/register", json=body).json())
            asyncio.run(fill_both(settings, people[0]["user"]["id"], people[1]["user"]["id"], count))
            headers = [{"Authorization": f"Bearer {person['access_token']}"} for person in people]
            bare = asyncio.run(bare_query_milliseconds(settings, [p["user"]["id"] for p in people])) if aws else []
            times = [[page_seconds(client, one) for one in headers] for _ in range(ROUNDS)]
    few, many = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    print(
        f"page of 50, {name}: {few:.1f} ms for an owner of {FEW}, {many:.1f} ms for one of {count}:"
        f" {many / few:.2f} times"
    )
    if bare:
        print(f"  of that the table's own Query: {bare[0]:.1f} ms and {bare[1]:.1f} ms, {bare[1] / bare[0]:.2f} times")


def main() -> None:
    run("embedded", None, MANY)
    with stand_in() as aws:
        # moto reads a whole table for each query and writes slowly: a figure about moto, from fewer images.
        run(f"aws ({aws.name})", aws, 500 if aws.name == "moto" else MANY)


if __name__ == "__main__":
    main()
