"""`kill -9` during uploads with idempotency keys: a retry with the same key succeeds shortly after the restart."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.session import Session

from tests.acceptance.conftest import Running, environment_for, started
from tests.aws_emulators import AwsEmulator
from tests.pictures import jpeg

pytestmark = pytest.mark.slow

UPLOADS = 8
MAX_SECONDS = 100
"""About half a minute is expected, and more on a busy machine. Leases that are not renewed would last three minutes."""


def unfinished(running: Running, aws: AwsEmulator | None, owner_id: str) -> int:
    """Return how many requests with an idempotency key are recorded and not done."""
    if aws is None:
        with sqlite3.connect(Path(running.environment["DATA_DIR"]) / "service.db", timeout=30) as database:
            count: int = database.execute("SELECT count(*) FROM idempotency WHERE done = 0").fetchone()[0]
        return count
    dynamodb: Any = Session().create_client("dynamodb", region_name=aws.region, endpoint_url=aws.url)
    found = dynamodb.query(
        TableName=aws.table,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :once)",
        ExpressionAttributeValues={":pk": {"S": f"USER#{owner_id}"}, ":once": {"S": "ONCE#"}},
        ConsistentRead=True,
    )
    return sum(not item["done"]["BOOL"] for item in found["Items"])


async def upload_and_kill(
    running: Running, headers: dict[str, str], photos: list[bytes], aws: AwsEmulator | None, owner_id: str
) -> None:
    async with httpx.AsyncClient(base_url=running.url, timeout=120) as client:
        tries = [asyncio.create_task(upload(client, headers, number, photo)) for number, photo in enumerate(photos)]
        while not await asyncio.to_thread(unfinished, running, aws, owner_id):
            assert not all(attempt.done() for attempt in tries), "every upload ended before the process was killed"
        running.process.send_signal(signal.SIGKILL)
        await asyncio.gather(*tries, return_exceptions=True)
    running.process.wait(10)


async def upload(client: httpx.AsyncClient, headers: dict[str, str], number: int, photo: bytes) -> httpx.Response:
    headers = {**headers, "Idempotency-Key": f"upload-{number}"}
    return await client.post("/api/v1/images/upload", files={"file": (f"{number}.jpg", photo)}, headers=headers)


async def retry_until_created(running: Running, headers: dict[str, str], photos: list[bytes]) -> list[str]:
    async def retry(client: httpx.AsyncClient, number: int, photo: bytes) -> str:
        response = await upload(client, headers, number, photo)
        while response.status_code in (409, 503):
            await asyncio.sleep(int(response.headers["Retry-After"]))
            response = await upload(client, headers, number, photo)
        assert response.status_code == 201, response.text
        image_id: str = response.json()["id"]
        return image_id

    async with httpx.AsyncClient(base_url=running.url, timeout=120) as client:
        return await asyncio.gather(*(retry(client, number, photo) for number, photo in enumerate(photos)))


@pytest.mark.parametrize("backend", ["embedded", "aws"])
def test_a_retry_succeeds_soon_after_the_process_was_killed(
    tmp_path: Path, backend: str, request: pytest.FixtureRequest
):
    aws: AwsEmulator | None = request.getfixturevalue("aws") if backend == "aws" else None
    environment = environment_for(tmp_path / "data", aws, RENDER_PROCESSES="1")
    photos = [jpeg(2400, 1800, seed=number) for number in range(UPLOADS)]
    with started(environment) as running:
        headers = running.register()
        owner_id: str = httpx.get(f"{running.url}/api/v1/auth/me", headers=headers).json()["id"]
        asyncio.run(upload_and_kill(running, headers, photos, aws, owner_id))
    with started(environment) as running:
        begun = time.monotonic()
        created = asyncio.run(retry_until_created(running, headers, photos))
        assert time.monotonic() - begun < MAX_SECONDS
        assert len(set(created)) == UPLOADS
        images = httpx.get(f"{running.url}/api/v1/images", headers=headers).json()["items"]
        assert {image["id"] for image in images} == set(created)
