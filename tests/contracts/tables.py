"""Records for the tests of the tables, and the DynamoDB table of the emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from app.container.aws import open_aws_client
from app.domain.accounts import Account, Session
from app.domain.emails import normalize
from app.domain.ids import new_id
from app.domain.images import Image, Source, Thumbnail, ThumbnailStatus
from app.domain.jobs import Job
from app.domain.metadata import Metadata, Position
from app.tables.dynamodb import DynamoDBTable, make_config
from tests.aws_emulators import AwsEmulator

NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)

READY = Thumbnail(200, ThumbnailStatus.READY, "image/jpeg", width=200, height=150, bytes=6120)
METADATA = Metadata(
    taken_at="2026-07-14T18:03:22.000",
    iso=400,
    f_number=2.0,
    exposure_seconds=1.25e-05,
    position=Position(latitude=-33.856784, longitude=151.215297),
)
FAILED = Thumbnail(500, ThumbnailStatus.FAILED, reason="It took too long.", attempts=3)
PENDING = Thumbnail(800, ThumbnailStatus.PENDING)


@asynccontextmanager
async def open_table(
    aws: AwsEmulator, *, url: str | None = None, name: str | None = None
) -> AsyncIterator[DynamoDBTable]:
    """Open the emulator's table, at `url` if it is given."""
    async with open_aws_client(aws.service("dynamodb", url=url), make_config()) as opened:
        yield DynamoDBTable(opened.client, name=name or aws.table)


def make_image(owner_id: str, **changes: object) -> Image:
    image = Image(
        id=new_id(),
        owner_id=owner_id,
        filename="beach.jpg",
        description="At the sea",
        content_type="image/jpeg",
        size=1000,
        sha256="0f" * 32,
        width=4032,
        height=3024,
        uploaded_at=NOON,
        placeholder="3OcRJYB4d3h/iIeHeEh3eIhw+j3A",
        thumbnails=(READY,),
        metadata=METADATA,
    )
    return replace(image, **cast(dict[str, Any], changes))


def make_account(email: str, **changes: object) -> Account:
    account = Account(
        id=new_id(),
        email=email,
        password_hash="$argon2id$…",
        display_name="Ada",
        created_at=NOON,
        normalized_email=normalize(email),
    )
    return replace(account, **cast(dict[str, Any], changes))


def make_session(account_id: str, *, expires_at: datetime = NOON + timedelta(days=1)) -> Session:
    return Session(id=new_id(), account_id=account_id, token_hash="old", expires_at=expires_at)


def make_job(owner_id: str, **changes: object) -> Job:
    job = Job(id=new_id(), owner_id=owner_id, kind="fetch", created_at=NOON, updated_at=NOON, due_at=NOON)
    return replace(job, **cast(dict[str, Any], changes))


def make_source(ean: str) -> Source:
    return Source(
        ean=ean,
        url=f"https://world.openfoodfacts.org/product/{ean}",
        product_name="Nutella 🌰",
        brand=None,
        licence="CC BY-SA 3.0",
        attribution="Open Food Facts contributors",
    )
