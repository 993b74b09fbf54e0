"""Picks the adapters that the settings ask for, opens them, and owns when each is closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from app.adapters.disk import open_disk
from app.adapters.dynamodb import (
    DynamoDBAccountTable,
    DynamoDBDirectUploadTable,
    DynamoDBImageTable,
    DynamoDBOnceTable,
    open_dynamodb,
)
from app.adapters.firebase import open_firebase_accounts
from app.adapters.local_accounts import open_local_accounts
from app.adapters.render_pool import open_render_pool
from app.adapters.s3 import S3ObjectStore
from app.adapters.s3_connection import open_s3
from app.adapters.sigv4 import Presigner
from app.adapters.sqlite import (
    SqliteAccountTable,
    SqliteDirectUploadTable,
    SqliteImageTable,
    SqliteOnceTable,
    open_sqlite,
)
from app.core.models import Quota
from app.core.ports import Accounts, AccountTable, DirectUploadTable, ImageTable, LocalObjects, ObjectStore, OnceTable
from app.core.render_options import RenderLimits, RenderOptions
from app.core.signing import derive_key
from app.data_dir import DataDir
from app.services import Services
from app.settings import Settings
from app.usecases.direct_uploads import DirectUploads
from app.usecases.library import Library
from app.usecases.once import Once
from app.usecases.pairing import check_pairing
from app.usecases.spool import Spool
from app.usecases.uploads import Uploads
from app.usecases.views import Views

_WAITING_PER_PROCESS = 64
"""Uploads that may wait for each render process; each holds a file on disk and next to no memory."""

_PROVIDER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Storage:
    """The two things that have to be kept in step, and what comes with them."""

    store: ObjectStore
    images: ImageTable
    accounts: AccountTable
    direct_uploads: DirectUploadTable
    once: OnceTable
    local_objects: LocalObjects | None


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open everything and check that it is there: what is missing stops the start, with words that say what to do."""
    data_dir = DataDir(settings.data_dir)
    secret = _secret(settings, data_dir)
    quota = Quota(images=settings.user_quota_images, bytes=settings.user_quota_bytes)
    async with AsyncExitStack() as stack:
        if settings.backend == "embedded":
            stack.enter_context(data_dir.serving())
        storage = await stack.enter_async_context(open_storage(settings, data_dir))
        accounts = await stack.enter_async_context(_open_accounts(settings, storage.accounts, secret=secret))
        renderer = await stack.enter_async_context(
            open_render_pool(
                _render_options(settings),
                processes=settings.render_processes,
                queue_limit=settings.render_processes * _WAITING_PER_PROCESS,
            )
        )
        uploads = Uploads(
            store=storage.store,
            images=storage.images,
            renderer=renderer,
            quota=quota,
            allowed_content_types=settings.allowed_content_types,
        )
        library = Library(
            store=storage.store, images=storage.images, quota=quota, cursor_key=derive_key(secret, "cursor")
        )
        once = Once(storage.once)
        spool = Spool(data_dir.spool)
        yield Services(
            accounts=accounts,
            uploads=uploads,
            library=library,
            once=once,
            direct_uploads=DirectUploads(
                store=storage.store,
                table=storage.direct_uploads,
                library=library,
                uploads=uploads,
                once=once,
                spool=spool,
                max_bytes=settings.max_direct_file_size,
            ),
            views=Views(storage.store),
            health_checks={"store": storage.store.check, "table": storage.images.check},
            local_objects=storage.local_objects,
            spool=spool,
        )


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
                url_key=derive_key(_secret(settings, data_dir), "object-url"),
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
                secret_key=_reveal(settings.aws_secret_access_key),
                session_token=_reveal(settings.aws_session_token),
            )
        )
        presigner = Presigner(
            s3.credentials,
            bucket=settings.s3_bucket,
            region=region,
            endpoint_url=settings.s3_presigned_url_endpoint or settings.localstack_endpoint_url,
            ttl_seconds=settings.presigned_url_ttl,
            window_seconds=settings.presigned_url_window,
        )
        table = await stack.enter_async_context(
            open_dynamodb(
                settings.dynamodb_table_name,
                region=settings.aws_default_region,
                endpoint_url=settings.localstack_endpoint_url,
                access_key=settings.aws_access_key_id,
                secret_key=_reveal(settings.aws_secret_access_key),
                session_token=_reveal(settings.aws_session_token),
            )
        )
        store = S3ObjectStore(s3.client, bucket=settings.s3_bucket, signer=presigner)
        yield Storage(
            store=store,
            images=DynamoDBImageTable(table),
            accounts=DynamoDBAccountTable(table),
            direct_uploads=DynamoDBDirectUploadTable(table),
            once=DynamoDBOnceTable(table),
            local_objects=None,
        )


@asynccontextmanager
async def _open_accounts(settings: Settings, table: AccountTable, *, secret: str) -> AsyncIterator[Accounts]:
    if settings.auth == "local":
        seconds = settings.access_token_expire_minutes * 60
        async with open_local_accounts(table, secret_key=secret, access_token_seconds=seconds) as local:
            yield local
        return
    async with (
        httpx.AsyncClient(timeout=_PROVIDER_SECONDS) as client,
        open_firebase_accounts(
            client,
            project_id=settings.google_cloud_project or "",
            api_key=_reveal(settings.firebase_api_key),
            emulator_host=settings.firebase_auth_emulator_host,
        ) as firebase,
    ):
        yield firebase


def _render_options(settings: Settings) -> RenderOptions:
    return RenderOptions(
        sizes=settings.thumbnail_sizes,
        thumbnail_format=settings.thumbnail_format,
        allowed_content_types=settings.allowed_content_types,
        limits=RenderLimits(max_pixels=settings.max_pixels, max_frames=settings.max_frames),
    )


def _secret(settings: Settings, data_dir: DataDir) -> str:
    return _reveal(settings.secret_key) or data_dir.secret()


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
