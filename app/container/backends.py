"""Opens the object store, the tables and the queue that the settings select.

Adapters are imported inside the functions that open them, so that a backend that is not selected is not loaded: the SDK
of AWS alone would double the time to start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.common.signing import derive_key
from app.container.data_dir import DataDir
from app.ports.admin_tables import AuditTable, OwnerIndex, ServerKeyTable
from app.ports.clock import Clock
from app.ports.consistency_tables import ReconcileTable, StoreIdTable
from app.ports.counter_table import CounterTable
from app.ports.part_store import PartStore
from app.ports.queue import JobQueue
from app.ports.share_table import ShareTable
from app.ports.storage import LocalObjects, ObjectStore
from app.ports.tables import (
    AccountTable,
    IdempotencyTable,
    ImageTable,
    JobTable,
    OwnerTable,
    TombstoneTable,
)
from app.ports.timeline_table import TimelineTable
from app.ports.upload_table import DirectUploadTable
from app.ports.webhook_tables import EventTable, WebhookEndpointTable
from app.settings import Settings

if TYPE_CHECKING:
    from app.storage.s3.store import UrlSigner


@dataclass(frozen=True, slots=True)
class Storage:
    store: ObjectStore
    parts: PartStore
    local_objects: LocalObjects | None
    """Set only if the service itself serves the objects."""
    origins: tuple[str, ...]
    """The origins of signed URLs and forms. Empty if the service itself serves the objects."""


@dataclass(frozen=True, slots=True)
class Tables:
    clock: Clock
    """The time by the clock of the database."""
    images: ImageTable
    accounts: AccountTable
    counters: CounterTable
    direct_uploads: DirectUploadTable
    idempotency: IdempotencyTable
    jobs: JobTable
    owners: OwnerTable
    tombstones: TombstoneTable
    owner_index: OwnerIndex
    server_keys: ServerKeyTable
    audit: AuditTable
    events: EventTable
    webhook_endpoints: WebhookEndpointTable
    shares: ShareTable
    timeline: TimelineTable
    reconcile: ReconcileTable
    store_id: StoreIdTable


@asynccontextmanager
async def open_disk_storage(settings: Settings, data_dir: DataDir, *, secret: str) -> AsyncIterator[Storage]:
    from app.storage.disk.parts import DiskPartStore
    from app.storage.disk.store import open_disk

    async with open_disk(
        data_dir.objects,
        url_key=derive_key(secret, "object-url"),
        ttl_seconds=settings.presigned_url_ttl,
        window_seconds=settings.presigned_url_window,
    ) as store:
        yield Storage(store, DiskPartStore(data_dir.objects), local_objects=store, origins=())


@asynccontextmanager
async def open_s3_storage(settings: Settings) -> AsyncIterator[Storage]:
    from app.container.aws import open_aws_client
    from app.storage.s3.client import disable_expect, make_config
    from app.storage.s3.credentials import SharedCredentials
    from app.storage.s3.endpoints import locate_bucket
    from app.storage.s3.parts import S3PartStore
    from app.storage.s3.presigner import Presigner
    from app.storage.s3.store import S3ObjectStore

    service = settings.aws_service("s3")
    bucket, public_endpoint = settings.s3_bucket, settings.s3_presigned_url_endpoint or service.endpoint_url
    async with open_aws_client(service, make_config(path_style=bool(service.endpoint_url))) as aws:
        disable_expect(aws.client)
        presigner = Presigner(
            SharedCredentials(aws.credentials),
            bucket=bucket,
            region=service.region,
            endpoint_url=public_endpoint,
            ttl_seconds=settings.presigned_url_ttl,
            window_seconds=settings.presigned_url_window,
            clock=lambda: aws.clock().timestamp(),
        )
        cdn = _make_cdn_signer(settings, aws.clock)
        store = S3ObjectStore(aws.client, bucket=bucket, signer=presigner, clock=aws.clock, cdn=cdn)
        origin = locate_bucket(bucket, region=service.region, endpoint_url=public_endpoint).origin
        origins = (origin, settings.cdn_url) if settings.cdn_url else (origin,)
        parts = S3PartStore(aws.client, bucket=bucket, store=store)
        yield Storage(store, parts, local_objects=None, origins=origins)


def _make_cdn_signer(settings: Settings, clock: Clock) -> UrlSigner | None:
    if not (settings.cdn_url and settings.cdn_key_pair_id and settings.cdn_private_key):
        return None
    from app.storage.s3.cloudfront import CloudFrontSigner

    return CloudFrontSigner(
        url=settings.cdn_url,
        key_pair_id=settings.cdn_key_pair_id,
        private_key=settings.cdn_private_key.get_secret_value(),
        ttl_seconds=settings.presigned_url_ttl,
        window_seconds=settings.presigned_url_window,
        clock=lambda: clock().timestamp(),
    )


@asynccontextmanager
async def open_sqlite_tables(data_dir: DataDir, *, is_only_process: bool) -> AsyncIterator[Tables]:
    from app.tables import sqlite

    async with sqlite.open_sqlite(data_dir.database, is_only_process=is_only_process) as database:
        yield Tables(
            clock=_local_time,  # Every process that uses the file is on this machine.
            images=sqlite.SqliteImageTable(database),
            accounts=sqlite.SqliteAccountTable(database),
            counters=sqlite.SqliteCounterTable(database),
            direct_uploads=sqlite.SqliteDirectUploadTable(database, clock=_local_time),
            idempotency=sqlite.SqliteIdempotencyTable(database),
            jobs=sqlite.SqliteJobTable(database, clock=_local_time),
            owners=sqlite.SqliteOwnerTable(database, clock=_local_time),
            tombstones=sqlite.SqliteTombstoneTable(database),
            owner_index=sqlite.SqliteOwnerIndex(database),
            server_keys=sqlite.SqliteServerKeyTable(database),
            audit=sqlite.SqliteAuditTable(database, clock=_local_time),
            events=sqlite.SqliteEventTable(database),
            webhook_endpoints=sqlite.SqliteWebhookEndpointTable(database),
            shares=sqlite.SqliteShareTable(database),
            timeline=sqlite.SqliteTimelineTable(database),
            reconcile=sqlite.SqliteReconcileTable(database),
            store_id=sqlite.SqliteStoreIdTable(database),
        )


@asynccontextmanager
async def open_dynamodb_tables(settings: Settings) -> AsyncIterator[Tables]:
    from app.container.aws import open_aws_client
    from app.tables import dynamodb

    async with open_aws_client(settings.aws_service("dynamodb"), dynamodb.make_config()) as aws:
        table = dynamodb.DynamoDBTable(aws.client, name=settings.dynamodb_table_name)
        yield Tables(
            clock=aws.clock,
            images=dynamodb.DynamoDBImageTable(table),
            accounts=dynamodb.DynamoDBAccountTable(table),
            counters=dynamodb.DynamoDBCounterTable(table),
            direct_uploads=dynamodb.DynamoDBDirectUploadTable(table),
            idempotency=dynamodb.DynamoDBIdempotencyTable(table),
            jobs=dynamodb.DynamoDBJobTable(table),
            owners=dynamodb.DynamoDBOwnerTable(table),
            tombstones=dynamodb.DynamoDBTombstoneTable(table),
            owner_index=dynamodb.DynamoDBOwnerIndex(table),
            server_keys=dynamodb.DynamoDBServerKeyTable(table),
            audit=dynamodb.DynamoDBAuditTable(table, clock=aws.clock),
            events=dynamodb.DynamoDBEventTable(table),
            webhook_endpoints=dynamodb.DynamoDBWebhookEndpointTable(table),
            shares=dynamodb.DynamoDBShareTable(table),
            timeline=dynamodb.DynamoDBTimelineTable(table),
            reconcile=dynamodb.DynamoDBReconcileTable(table),
            store_id=dynamodb.DynamoDBStoreIdTable(table),
        )


@asynccontextmanager
async def open_local_queue() -> AsyncIterator[JobQueue]:
    from app.queues.local import LocalJobQueue

    yield LocalJobQueue()


@asynccontextmanager
async def open_sqs_queue(settings: Settings) -> AsyncIterator[JobQueue]:
    from app.container.aws import open_aws_client
    from app.queues.sqs import make_config, open_sqs

    async with (
        open_aws_client(settings.aws_service("sqs"), make_config()) as aws,
        open_sqs(aws.client, settings.sqs_queue_name) as queue,
    ):
        yield queue


def _local_time() -> datetime:
    return datetime.now(UTC)
