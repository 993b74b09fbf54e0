"""A plain upload service, as one might write it in an hour, for comparison. It has none of the guarantees of this one.

It reads the whole file into memory, makes each thumbnail from the file with Pillow, syncs nothing to the disk, and
opens an aiobotocore client for each request. It is started with the settings of this service:
`uvicorn bench.simple_service:app`.
"""

from __future__ import annotations

import io
import os
import sqlite3
import uuid
from pathlib import Path
from typing import Annotated

from aiobotocore.session import AioSession
from fastapi import FastAPI, HTTPException, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from PIL import Image, ImageOps

SIZES = (200, 500, 800)
FOLDER = Path(os.environ["DATA_DIR"])
IS_AWS = os.environ.get("BACKEND") == "aws"

app = FastAPI()
session = AioSession()


def make_thumbnail(data: bytes, size: int) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        image.thumbnail((size, size))
        output = io.BytesIO()
        ImageOps.exif_transpose(image).convert("RGB").save(output, "JPEG", quality=80)
    return output.getvalue()


def make_objects(image_id: str, data: bytes) -> dict[str, bytes]:
    return {f"{image_id}-original": data} | {f"{image_id}-{size}": make_thumbnail(data, size) for size in SIZES}


def store_on_disk(image_id: str, objects: dict[str, bytes]) -> list[str]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in objects.items():
        (FOLDER / name).write_bytes(content)
    with sqlite3.connect(FOLDER / "simple.db", timeout=60) as db:
        db.execute("CREATE TABLE IF NOT EXISTS images (id TEXT PRIMARY KEY)")
        db.execute("INSERT INTO images VALUES (?)", (image_id,))
    return [f"/files/{name}" for name in objects]


async def store_on_aws(image_id: str, objects: dict[str, bytes]) -> list[str]:
    bucket, endpoint = os.environ["S3_BUCKET"], os.environ["LOCALSTACK_ENDPOINT_URL"]
    region = os.environ["AWS_DEFAULT_REGION"]
    async with session.create_client("s3", region_name=region, endpoint_url=endpoint) as s3:
        for name, content in objects.items():
            await s3.put_object(Bucket=bucket, Key=name, Body=content)
        urls = [
            await s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": name}) for name in objects
        ]
    async with session.create_client("dynamodb", region_name=region, endpoint_url=endpoint) as dynamodb:
        item = {"pk": {"S": "simple"}, "sk": {"S": image_id}}
        await dynamodb.put_item(TableName=os.environ["DYNAMODB_TABLE_NAME"], Item=item)
    return urls


@app.get("/health/ready")
async def ready() -> None:
    pass


@app.post("/upload", status_code=201)
async def upload(file: UploadFile) -> dict[str, str | list[str]]:
    image_id = str(uuid.uuid4())
    objects = await run_in_threadpool(make_objects, image_id, await file.read())
    if IS_AWS:
        return {"id": image_id, "urls": await store_on_aws(image_id, objects)}
    return {"id": image_id, "urls": await run_in_threadpool(store_on_disk, image_id, objects)}


@app.get("/page")
async def page(size: Annotated[int, "bytes"]) -> Response:
    """Return a body as large as a page of a list, without any work."""
    return Response(b"x" * size, media_type="application/json")


@app.get("/refused")
async def refused() -> None:
    raise HTTPException(401, "There is no token.")
