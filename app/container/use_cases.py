"""Builds the use cases, the worker and the reconciler from the opened adapters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from app.api.services import Services
from app.auth.invitations import Invitations
from app.common.idempotency import Idempotency
from app.common.object_deletion import ObjectDeletion
from app.common.pagination import Cursors
from app.common.rate_limit import RateLimiter
from app.common.signing import derive_key
from app.common.temp_files import TempFiles
from app.consistency.ports import ReconcilePorts
from app.consistency.reconciler import Reconciler
from app.container.accounts import open_invitations
from app.container.backends import Storage, Tables
from app.container.health import health_checks
from app.domain.images import Quota
from app.jobs.maintenance import Maintenance
from app.jobs.registry import JobRegistry
from app.jobs.runner import JobRunner
from app.jobs.service import JobService
from app.jobs.worker import Worker
from app.ports.auth import Accounts
from app.ports.catalog import ProductCatalog
from app.ports.metrics import Metrics
from app.ports.queue import JobQueue
from app.ports.renderer import Renderer
from app.services.account_deletion import AccountDeletion
from app.services.adoption import Adoption
from app.services.direct_uploads import DirectUploads
from app.services.exports import Exports
from app.services.library import Library
from app.services.product_images import ProductImages
from app.services.rerendering import Rerendering
from app.services.signed_urls import UrlSigner
from app.services.thumbnails import Thumbnails
from app.services.uploads import Uploads
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Adapters:
    storage: Storage
    tables: Tables
    queue: JobQueue
    accounts: Accounts
    catalog: ProductCatalog
    renderer: Renderer
    inspector: Renderer
    metrics: Metrics
    limiter: RateLimiter
    temp_files: TempFiles


@dataclass(frozen=True, slots=True)
class Container:
    services: Services
    worker: Worker
    reconciler: Reconciler
    adoption: Adoption
    invitations: Invitations
    rerendering: Rerendering


def build(settings: Settings, adapters: Adapters, *, secret: str) -> Container:
    store, tables = adapters.storage.store, adapters.tables
    deletion = ObjectDeletion(store=store, tombstones=tables.tombstones, clock=tables.clock)
    services = _build_services(settings, adapters, deletion, secret=secret)
    reconciler = Reconciler(
        ReconcilePorts(
            store=store,
            images=tables.images,
            owners=tables.owners,
            tombstones=tables.tombstones,
            table=tables.reconcile,
            deletion=deletion,
        ),
        metrics=adapters.metrics,
        grace=timedelta(days=settings.reconcile_grace_days),
    )
    adoption = Adoption(
        store=store,
        images=tables.images,
        owners=tables.owners,
        tombstones=tables.tombstones,
        uploads=services.uploads,
        temp_files=adapters.temp_files,
    )
    worker = _build_worker(settings, adapters, services.job_registry, reconciler, deletion)
    invitations = open_invitations(tables, secret=secret)
    rerendering = Rerendering(
        store=store,
        images=tables.images,
        renderer=adapters.renderer,
        temp_files=adapters.temp_files,
        sizes=settings.thumbnail_sizes,
    )
    return Container(services, worker, reconciler, adoption, invitations, rerendering)


def _build_services(settings: Settings, adapters: Adapters, deletion: ObjectDeletion, *, secret: str) -> Services:
    store, tables, temp_files = adapters.storage.store, adapters.tables, adapters.temp_files
    images, clock = tables.images, tables.clock
    idempotency = Idempotency(tables.idempotency, clock=clock)
    jobs = JobService(
        table=tables.jobs,
        queue=adapters.queue,
        limiter=adapters.limiter,
        cursors=Cursors(derive_key(secret, "job-cursor")),
        clock=clock,
    )
    library = _build_library(settings, adapters, deletion, secret=secret)
    uploads = _build_uploads(settings, adapters, jobs, library.quota)
    thumbnails = Thumbnails(
        store=store,
        images=images,
        library=library,
        renderer=adapters.renderer,
        jobs=jobs,
        temp_files=temp_files,
        clock=clock,
    )
    product_images = ProductImages(
        catalog=adapters.catalog,
        uploads=uploads,
        library=library,
        jobs=jobs,
        temp_files=temp_files,
        max_bytes=settings.max_file_size,
    )
    exports = Exports(store=store, images=images, jobs=jobs, temp_files=temp_files, clock=clock)
    account_deletion = AccountDeletion(
        accounts=adapters.accounts,
        owners=tables.owners,
        store=store,
        images=images,
        library=library,
        jobs=jobs,
        clock=clock,
    )
    return Services(
        accounts=adapters.accounts,
        account_deletion=account_deletion,
        uploads=uploads,
        direct_uploads=_build_direct_uploads(settings, adapters, library, uploads, idempotency),
        library=library,
        thumbnails=thumbnails,
        product_images=product_images,
        exports=exports,
        url_signer=UrlSigner(store),
        jobs=jobs,
        job_registry=JobRegistry([case.job_spec for case in (product_images, thumbnails, exports, account_deletion)]),
        idempotency=idempotency,
        metrics=adapters.metrics,
        temp_files=temp_files,
        health_checks=health_checks(settings, adapters.storage, tables, adapters.queue, temp_files),
        store_origin=adapters.storage.origin,
        registration_is_local=settings.auth == "local" and settings.registration is None,
        local_objects=adapters.storage.local_objects,
    )


def _build_library(settings: Settings, adapters: Adapters, deletion: ObjectDeletion, *, secret: str) -> Library:
    return Library(
        store=adapters.storage.store,
        images=adapters.tables.images,
        deletion=deletion,
        quota=Quota(images=settings.user_quota_images, bytes=settings.user_quota_bytes),
        cursors=Cursors(derive_key(secret, "cursor")),
        clock=adapters.tables.clock,
    )


def _build_uploads(settings: Settings, adapters: Adapters, jobs: JobService, quota: Quota) -> Uploads:
    return Uploads(
        store=adapters.storage.store,
        images=adapters.tables.images,
        renderer=adapters.renderer,
        inspector=adapters.inspector,
        jobs=jobs,
        metrics=adapters.metrics,
        quota=quota,
        sizes=settings.thumbnail_sizes,
        allowed_content_types=settings.allowed_content_types,
    )


def _build_direct_uploads(
    settings: Settings, adapters: Adapters, library: Library, uploads: Uploads, idempotency: Idempotency
) -> DirectUploads:
    return DirectUploads(
        store=adapters.storage.store,
        table=adapters.tables.direct_uploads,
        library=library,
        uploads=uploads,
        idempotency=idempotency,
        temp_files=adapters.temp_files,
        max_bytes=settings.max_direct_file_size,
        clock=adapters.tables.clock,
    )


def _build_worker(
    settings: Settings, adapters: Adapters, registry: JobRegistry, reconciler: Reconciler, deletion: ObjectDeletion
) -> Worker:
    tables, queue = adapters.tables, adapters.queue
    runner = JobRunner(table=tables.jobs, queue=queue, registry=registry, metrics=adapters.metrics, clock=tables.clock)
    maintenance = Maintenance(
        jobs=tables.jobs,
        queue=queue,
        idempotency=tables.idempotency,
        deletion=deletion,
        reconciler=reconciler,
        clock=tables.clock,
    )
    return Worker(
        queue=queue,
        runner=runner,
        maintenance=maintenance,
        metrics=adapters.metrics,
        queue_is_volatile=settings.queue == "local",
    )
