"""Opens where things are kept: the object store and the tables of the backend that the settings ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from app.adapters.disk import open_disk
from app.adapters.dynamodb import (
    DynamoDBAccountTable,
    DynamoDBDirectUploadTable,
    DynamoDBImageTable,
    DynamoDBJobTable,
    DynamoDBOnceTable,
    DynamoDBOwnerTable,
    DynamoDBReconcileTable,
    DynamoDBTombstoneTable,
    open_dynamodb,
)
from app.adapters.s3 import S3ObjectStore
from app.adapters.s3_connection import open_s3
from app.adapters.sigv4 import Presigner
from app.adapters.sqlite import (
    SqliteAccountTable,
    SqliteDirectUploadTable,
    SqliteImageTable,
    SqliteJobTable,
    SqliteOnceTable,
    SqliteOwnerTable,
    SqliteReconcileTable,
    SqliteTombstoneTable,
    open_sqlite,
)
from app.core.clock import Clock
from app.core.ports import (
    AccountTable,
    DirectUploadTable,
    ImageTable,
    JobTable,
    LocalObjects,
    ObjectStore,
    OnceTable,
    OwnerTable,
    ReconcileTable,
    TombstoneTable,
)
from app.core.signing import derive_key
from app.data_dir import DataDir
from app.settings import Settings, reveal
from app.usecases.pairing import check_pairing


@dataclass(frozen=True, slots=True)
class Storage:
    """The two things that have to be kept in step, and what comes with them."""

    store: ObjectStore
    images: ImageTable
    accounts: AccountTable
    direct_uploads: DirectUploadTable
    once: OnceTable
    jobs: JobTable
    owners: OwnerTable
    tombstones: TombstoneTable
    reconcile: ReconcileTable
    clock: Clock
    """The tables' own time."""
    local_objects: LocalObjects | None


@asynccontextmanager
async def open_storage(settings: Settings, data_dir: DataDir) -> AsyncIterator[Storage]:
    opened = _open_aws(settings) if settings.backend == "aws" else _open_embedded(settings, data_dir)
    async with opened as storage:
        await storage.store.check()
        await storage.images.check()
        await check_pairing(storage.store, storage.images)
        yield storage


@asynccontextmanager
async def _open_embedded(settings: Settings, data_dir: DataDir) -> AsyncIterator[Storage]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_disk(
                data_dir.objects,
                url_key=derive_key(secret_of(settings, data_dir), "object-url"),
                ttl_seconds=settings.presigned_url_ttl,
                window_seconds=settings.presigned_url_window,
            )
        )
        database = await stack.enter_async_context(open_sqlite(data_dir.database))
        yield Storage(
            store=store,
            images=SqliteImageTable(database),
            accounts=SqliteAccountTable(database),
            direct_uploads=SqliteDirectUploadTable(database),
            once=SqliteOnceTable(database),
            jobs=SqliteJobTable(database),
            owners=SqliteOwnerTable(database),
            tombstones=SqliteTombstoneTable(database),
            reconcile=SqliteReconcileTable(database),
            # The file, and every process that uses it, are on this machine.
            clock=_now,
            local_objects=store,
        )


@asynccontextmanager
async def _open_aws(settings: Settings) -> AsyncIterator[Storage]:
    region = settings.s3_region or settings.aws_default_region
    async with AsyncExitStack() as stack:
        s3 = await stack.enter_async_context(
            open_s3(
                region=region,
                endpoint_url=settings.localstack_endpoint_url,
                access_key=settings.aws_access_key_id,
                secret_key=reveal(settings.aws_secret_access_key),
                session_token=reveal(settings.aws_session_token),
            )
        )
        presigner = Presigner(
            s3.credentials,
            bucket=settings.s3_bucket,
            region=region,
            endpoint_url=settings.s3_presigned_url_endpoint or settings.localstack_endpoint_url,
            ttl_seconds=settings.presigned_url_ttl,
            window_seconds=settings.presigned_url_window,
            clock=lambda: s3.clock().timestamp(),
        )
        table = await stack.enter_async_context(
            open_dynamodb(
                settings.dynamodb_table_name,
                region=settings.aws_default_region,
                endpoint_url=settings.localstack_endpoint_url,
                access_key=settings.aws_access_key_id,
                secret_key=reveal(settings.aws_secret_access_key),
                session_token=reveal(settings.aws_session_token),
            )
        )
        store = S3ObjectStore(s3.client, bucket=settings.s3_bucket, signer=presigner, clock=s3.clock)
        yield Storage(
            store=store,
            images=DynamoDBImageTable(table),
            accounts=DynamoDBAccountTable(table),
            direct_uploads=DynamoDBDirectUploadTable(table),
            once=DynamoDBOnceTable(table),
            jobs=DynamoDBJobTable(table),
            owners=DynamoDBOwnerTable(table),
            tombstones=DynamoDBTombstoneTable(table),
            reconcile=DynamoDBReconcileTable(table),
            clock=table.clock,
            local_objects=None,
        )


def _now() -> datetime:
    return datetime.now(UTC)


def secret_of(settings: Settings, data_dir: DataDir) -> str:
    return reveal(settings.secret_key) or data_dir.secret()
