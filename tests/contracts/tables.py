"""Records for the tests of the tables, and the DynamoDB table of the stand-in."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from app.adapters.dynamodb import DynamoDBTable, open_dynamodb
from app.core.ids import new_id
from app.core.jobs import Job, JobKind
from app.core.models import Account, Image, Session, Source, Thumbnail, ThumbnailStatus
from tests.stand_ins import StandIn

NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)

READY = Thumbnail(200, ThumbnailStatus.READY, "image/jpeg", width=200, height=150, bytes=6120)
FAILED = Thumbnail(500, ThumbnailStatus.FAILED, reason="It took too long.", attempts=3)
PENDING = Thumbnail(800, ThumbnailStatus.PENDING)


def open_table(aws: StandIn, *, url: str | None = None) -> AbstractAsyncContextManager[DynamoDBTable]:
    return open_dynamodb(
        aws.table, region=aws.region, endpoint_url=url or aws.url, access_key="test", secret_key="test"
    )


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
    )
    return replace(image, **cast(dict[str, Any], changes))


def make_account(email: str, **changes: object) -> Account:
    account = Account(id=new_id(), email=email, password_hash="$argon2id$…", display_name="Ada", created_at=NOON)
    return replace(account, **cast(dict[str, Any], changes))


def make_session(account_id: str, *, expires_at: datetime = NOON + timedelta(days=1)) -> Session:
    return Session(id=new_id(), account_id=account_id, token_hash="old", expires_at=expires_at)


def make_job(owner_id: str, **changes: object) -> Job:
    job = Job(id=new_id(), owner_id=owner_id, kind=JobKind.FETCH, created_at=NOON, updated_at=NOON, due_at=NOON)
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
