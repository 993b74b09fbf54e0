"""Picks the adapters that the settings ask for, opens them, and owns when each is closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx
import structlog

from app.adapters.catalog_limiter import CatalogLimiter
from app.adapters.firebase import open_firebase_accounts
from app.adapters.local_accounts import open_local_accounts
from app.adapters.local_queue import LocalJobQueue
from app.adapters.product_catalog import open_food_facts
from app.adapters.prometheus import MeasuredRenderer, PrometheusMetrics
from app.adapters.render_pool import open_render_pool
from app.adapters.sqs import open_sqs
from app.core.errors import AppError
from app.core.jobs import JobKind
from app.core.models import Quota
from app.core.ports import (
    Accounts,
    JobQueue,
    ProductCatalog,
    Renderer,
)
from app.core.render_options import RenderLimits, RenderOptions
from app.core.signing import derive_key
from app.data_dir import DataDir
from app.services import Services
from app.settings import Settings, reveal
from app.storage import Storage, open_storage, secret_of
from app.usecases.adoption import Adoption
from app.usecases.background import Background
from app.usecases.cursors import Cursors
from app.usecases.deletions import Deletions
from app.usecases.direct_uploads import DirectUploads
from app.usecases.ean_imports import EanImports
from app.usecases.exports import Exports
from app.usecases.jobs import Jobs
from app.usecases.leaving import Leaving
from app.usecases.library import Library
from app.usecases.once import Once
from app.usecases.reconcile_findings import Ports as ReconcilePorts
from app.usecases.reconciling import Reconciler
from app.usecases.spool import Spool
from app.usecases.thumbnails import Thumbnails
from app.usecases.upkeep import Upkeep
from app.usecases.uploads import Uploads
from app.usecases.views import Views
from app.usecases.working import Work

_WAITING_PER_PROCESS = 64
"""Uploads that may wait for each render process; each holds a file on disk and next to no memory."""

_WAITING_FOR_INSPECTION = 256
_PROVIDER_SECONDS = 5
_NOT_STARTED = 3
"""What uvicorn exits with, too."""

_PLAIN = (AppError, OSError, RuntimeError, ValueError)
"""What stops a start and is told by its words alone, without a trace."""

_log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def open_services(settings: Settings, *, serves: bool = True) -> AsyncIterator[Services]:
    """Open everything and check that it is there.

    With `serves` the folder of the embedded backend is held for this process; a command that runs beside the service
    does without. Raises SystemExit where something is missing or wrong, once it has logged in words what that is.
    """
    async with AsyncExitStack() as stack:
        try:
            services = await stack.enter_async_context(_open_services(settings, serves=serves))
        except Exception as error:
            cause = str(error.__cause__) if error.__cause__ else None
            _log.critical("service.not_started", reason=str(error), cause=cause, exc_info=not isinstance(error, _PLAIN))
            raise SystemExit(_NOT_STARTED) from error
        yield services


@asynccontextmanager
async def _open_services(settings: Settings, *, serves: bool) -> AsyncIterator[Services]:
    data_dir = DataDir(settings.data_dir)
    secret = secret_of(settings, data_dir)
    async with AsyncExitStack() as stack:
        if serves and settings.backend == "embedded":
            stack.enter_context(data_dir.serving())
        storage = await stack.enter_async_context(open_storage(settings, data_dir))
        yield _services(
            settings,
            storage,
            accounts=await stack.enter_async_context(_open_accounts(settings, storage, secret=secret)),
            queue=await stack.enter_async_context(_open_queue(settings)),
            catalog=await stack.enter_async_context(_open_catalog(settings, storage)),
            renderer=await stack.enter_async_context(
                open_render_pool(
                    _render_options(settings, sizes=settings.thumbnail_sizes),
                    processes=settings.render_processes,
                    queue_limit=settings.render_processes * _WAITING_PER_PROCESS,
                )
            ),
            inspector=await stack.enter_async_context(
                open_render_pool(
                    _render_options(settings, sizes=()),
                    processes=1,
                    queue_limit=_WAITING_FOR_INSPECTION,
                    cpu_seconds=2,
                    wall_seconds=5,
                )
            ),
            spool=Spool(data_dir.spool),
            secret=secret,
        )


def _services(
    settings: Settings,
    storage: Storage,
    *,
    accounts: Accounts,
    queue: JobQueue,
    catalog: ProductCatalog,
    renderer: Renderer,
    inspector: Renderer,
    spool: Spool,
    secret: str,
) -> Services:
    metrics = PrometheusMetrics()
    renderer = MeasuredRenderer(renderer, metrics)
    quota = Quota(images=settings.user_quota_images, bytes=settings.user_quota_bytes)
    jobs = Jobs(table=storage.jobs, queue=queue, cursors=Cursors(derive_key(secret, "job-cursor")), clock=storage.clock)
    deletions = Deletions(store=storage.store, tombstones=storage.tombstones, clock=storage.clock)
    library = Library(
        store=storage.store,
        images=storage.images,
        deletions=deletions,
        quota=quota,
        cursors=Cursors(derive_key(secret, "cursor")),
        clock=storage.clock,
    )
    uploads = Uploads(
        store=storage.store,
        images=storage.images,
        renderer=renderer,
        inspector=inspector,
        jobs=jobs,
        metrics=metrics,
        quota=quota,
        sizes=settings.thumbnail_sizes,
        allowed_content_types=settings.allowed_content_types,
    )
    once = Once(storage.once, clock=storage.clock)
    thumbnails = Thumbnails(
        store=storage.store,
        images=storage.images,
        library=library,
        renderer=renderer,
        jobs=jobs,
        spool=spool,
        attempts=storage.accounts,
    )
    ean_imports = EanImports(
        catalog=catalog,
        uploads=uploads,
        library=library,
        jobs=jobs,
        spool=spool,
        attempts=storage.accounts,
        max_bytes=settings.max_file_size,
    )
    exports = Exports(store=storage.store, images=storage.images, attempts=storage.accounts, jobs=jobs, spool=spool)
    leaving = Leaving(
        accounts=accounts,
        owners=storage.owners,
        store=storage.store,
        images=storage.images,
        library=library,
        jobs=jobs,
    )
    work = Work(
        table=storage.jobs,
        queue=queue,
        handlers={
            JobKind.FETCH: ean_imports,
            JobKind.RENDER: thumbnails,
            JobKind.EXPORT: exports,
            JobKind.LEAVE: leaving,
        },
        metrics=metrics,
        clock=storage.clock,
    )
    reconciler = Reconciler(
        ReconcilePorts(
            store=storage.store,
            images=storage.images,
            owners=storage.owners,
            tombstones=storage.tombstones,
            table=storage.reconcile,
            deletions=deletions,
        ),
        metrics=metrics,
        grace=timedelta(days=settings.reconcile_grace_days),
    )
    upkeep = Upkeep(
        jobs=storage.jobs,
        queue=queue,
        once=storage.once,
        deletions=deletions,
        reconciler=reconciler,
        clock=storage.clock,
    )
    return Services(
        accounts=accounts,
        leaving=leaving,
        uploads=uploads,
        library=library,
        thumbnails=thumbnails,
        once=once,
        direct_uploads=DirectUploads(
            store=storage.store,
            table=storage.direct_uploads,
            library=library,
            uploads=uploads,
            once=once,
            spool=spool,
            max_bytes=settings.max_direct_file_size,
            clock=storage.clock,
        ),
        views=Views(storage.store),
        jobs=jobs,
        ean_imports=ean_imports,
        exports=exports,
        background=Background(
            queue=queue,
            work=work,
            upkeep=upkeep,
            metrics=metrics,
            queue_begins_empty=settings.backend == "embedded",
        ),
        reconciler=reconciler,
        adoption=Adoption(
            store=storage.store,
            images=storage.images,
            owners=storage.owners,
            tombstones=storage.tombstones,
            uploads=uploads,
            spool=spool,
        ),
        metrics=metrics,
        health_checks={"store": storage.store.check, "table": storage.images.check, "queue": queue.check},
        local_objects=storage.local_objects,
        spool=spool,
    )


@asynccontextmanager
async def _open_accounts(settings: Settings, storage: Storage, *, secret: str) -> AsyncIterator[Accounts]:
    if settings.auth == "local":
        async with open_local_accounts(
            storage.accounts,
            secret_key=secret,
            access_token_seconds=settings.access_token_expire_minutes * 60,
            clock=storage.clock,
        ) as local:
            yield local
        return
    async with (
        httpx.AsyncClient(timeout=_PROVIDER_SECONDS) as client,
        open_firebase_accounts(
            client,
            project_id=settings.google_cloud_project or "",
            api_key=reveal(settings.firebase_api_key),
            emulator_host=settings.firebase_auth_emulator_host,
        ) as firebase,
    ):
        yield firebase


@asynccontextmanager
async def _open_queue(settings: Settings) -> AsyncIterator[JobQueue]:
    if settings.backend == "embedded":
        yield LocalJobQueue()
        return
    async with open_sqs(
        settings.sqs_queue_name,
        region=settings.aws_default_region,
        endpoint_url=settings.localstack_endpoint_url,
        access_key=settings.aws_access_key_id,
        secret_key=reveal(settings.aws_secret_access_key),
        session_token=reveal(settings.aws_session_token),
    ) as queue:
        yield queue


def _render_options(settings: Settings, *, sizes: tuple[int, ...]) -> RenderOptions:
    return RenderOptions(
        sizes=sizes,
        thumbnail_format=settings.thumbnail_format,
        allowed_content_types=settings.allowed_content_types,
        limits=RenderLimits(max_pixels=settings.max_pixels, max_frames=settings.max_frames),
    )


@asynccontextmanager
async def _open_catalog(settings: Settings, storage: Storage) -> AsyncIterator[ProductCatalog]:
    async with open_food_facts(
        settings.product_catalog_url,
        user_agent=settings.product_catalog_user_agent,
        limiter=CatalogLimiter(storage.accounts, clock=storage.clock),
    ) as catalog:
        yield catalog
