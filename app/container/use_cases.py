"""Builds the use cases, the worker and the reconciler from the opened adapters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from app.api.services import Services
from app.auth.invitations import Invitations
from app.common.idempotency import Idempotency
from app.common.object_deletion import ObjectDeletion
from app.common.pagination import Cursors
from app.common.signing import derive_key
from app.common.webhook_events import WebhookEvents
from app.consistency.ports import ReconcilePorts
from app.consistency.reconciler import Reconciler
from app.container.accounts import open_invitations
from app.container.adapters import Adapters
from app.container.health import health_checks
from app.container.renditions import build_renditions
from app.container.scanning import scan_specs
from app.container.shares import build_shares
from app.container.users import build_account_deletion, build_user_administration
from app.container.webhooks import build_deliveries, build_webhooks
from app.container.workers import build_maintenance, build_worker
from app.domain.images import Quota
from app.domain.renderings import Stripping
from app.jobs.maintenance import Maintenance
from app.jobs.registry import JobRegistry
from app.jobs.service import JobService
from app.jobs.worker import Worker
from app.services.adoption import Adoption
from app.services.audit import AuditLog
from app.services.authentication import Authentication
from app.services.direct_uploads import DirectUploads
from app.services.downloads import Downloads
from app.services.exports import Exports
from app.services.library import Library
from app.services.product_images import ProductImages
from app.services.rerendering import Rerendering
from app.services.resumable_uploads import ResumableUploads
from app.services.server_keys import ServerKeys
from app.services.signed_urls import UrlSigner
from app.services.stripping import Strip
from app.services.thumbnails import Thumbnails
from app.services.timeline import Timeline
from app.services.uploads import Uploads
from app.settings import Settings

if TYPE_CHECKING:
    from app.auth.password_reset import PasswordReset


@dataclass(frozen=True, slots=True)
class Container:
    adapters: Adapters
    services: Services
    events: WebhookEvents
    worker: Worker
    maintenance: Maintenance
    reconciler: Reconciler
    adoption: Adoption
    invitations: Invitations
    password_reset: PasswordReset | None
    """None if another provider keeps the accounts."""
    rerendering: Rerendering


def build(settings: Settings, adapters: Adapters, *, secret: str) -> Container:
    store, tables = adapters.storage.store, adapters.tables
    deletion = ObjectDeletion(store=store, tombstones=tables.tombstones, clock=tables.clock)
    events = WebhookEvents(tables.webhook_endpoints, clock=tables.clock)
    services = _build_services(settings, adapters, deletion, events, secret=secret)
    reconciler = Reconciler(
        ReconcilePorts(
            store=store,
            images=tables.images,
            owners=tables.owners,
            tombstones=tables.tombstones,
            table=tables.reconcile,
            deletion=deletion,
            owner_index=tables.owner_index,
            events=events,
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
        events=events,
        temp_files=adapters.temp_files,
    )
    maintenance = build_maintenance(adapters, services.jobs, reconciler, deletion)
    invitations = open_invitations(tables, secret=secret)
    rerendering = Rerendering(
        store=store,
        images=tables.images,
        timeline=tables.timeline,
        renderer=adapters.renderer,
        temp_files=adapters.temp_files,
        sizes=settings.thumbnail_sizes,
    )
    return Container(
        adapters=adapters,
        services=services,
        events=events,
        worker=build_worker(settings, adapters, services.job_registry, events, maintenance),
        maintenance=maintenance,
        reconciler=reconciler,
        adoption=adoption,
        invitations=invitations,
        password_reset=adapters.auth.password_reset,
        rerendering=rerendering,
    )


def _build_services(
    settings: Settings, adapters: Adapters, deletion: ObjectDeletion, events: WebhookEvents, *, secret: str
) -> Services:
    store, tables, temp_files = adapters.storage.store, adapters.tables, adapters.temp_files
    images, clock = tables.images, tables.clock
    idempotency = Idempotency(tables.idempotency, clock=clock)
    jobs = _build_jobs(adapters, secret=secret)
    library = _build_library(settings, adapters, deletion, events, secret=secret)
    uploads = _build_uploads(settings, adapters, jobs, events, library.quota)
    thumbnails = _build_thumbnails(adapters, library, jobs, events)
    product_images = _build_product_images(settings, adapters, library, uploads, jobs)
    exports = Exports(store=store, parts=adapters.storage.parts, images=images, jobs=jobs, clock=clock)
    downloads = Downloads(store=store, parts=adapters.storage.parts, images=images, jobs=jobs, clock=clock)
    audit = AuditLog(tables.audit, retention=timedelta(days=settings.audit_days), clock=clock)
    authentication = Authentication(
        accounts=adapters.auth.accounts, owners=tables.owners, owner_index=tables.owner_index
    )
    account_deletion = build_account_deletion(adapters, authentication, audit, jobs)
    direct_uploads = _build_direct_uploads(settings, adapters, library, uploads, idempotency)
    resumable_uploads = _build_resumable_uploads(settings, adapters, library, direct_uploads)
    deliveries = build_deliveries(adapters, audit)
    user_administration = build_user_administration(adapters, authentication, account_deletion)
    renditions = build_renditions(settings, adapters, secret=secret)
    job_cases = (product_images, thumbnails, exports, downloads, account_deletion, deliveries)
    return Services(
        accounts=adapters.auth.accounts,
        account_settings=adapters.auth.settings,
        password_resets=adapters.auth.password_reset,
        app_check=adapters.auth.app_check,
        authentication=authentication,
        account_deletion=account_deletion,
        user_administration=user_administration,
        server_keys=ServerKeys(tables.server_keys, clock=clock),
        audit=audit,
        webhooks=build_webhooks(adapters, jobs),
        uploads=uploads,
        direct_uploads=direct_uploads,
        resumable_uploads=resumable_uploads,
        library=library,
        timeline=Timeline(table=tables.timeline, cursors=Cursors(derive_key(secret, "timeline-cursor"))),
        shares=build_shares(adapters, library, user_administration, secret=secret),
        thumbnails=thumbnails,
        product_images=product_images,
        exports=exports,
        downloads=downloads,
        url_signer=UrlSigner(store, renditions.urls),
        renditions=renditions,
        jobs=jobs,
        job_registry=JobRegistry(
            [*(case.job_spec for case in job_cases), *scan_specs(settings, adapters, deletion, events, jobs)]
        ),
        idempotency=idempotency,
        metrics=adapters.metrics,
        temp_files=temp_files,
        health_checks=health_checks(settings, adapters.storage, tables, adapters.queue, temp_files),
        store_origins=adapters.storage.origins,
        registration_is_local=settings.auth == "local" and settings.registration is None,
        local_objects=adapters.storage.local_objects,
    )


def _build_jobs(adapters: Adapters, *, secret: str) -> JobService:
    return JobService(
        table=adapters.tables.jobs,
        queue=adapters.queue,
        limiter=adapters.limiter,
        cursors=Cursors(derive_key(secret, "job-cursor")),
        clock=adapters.tables.clock,
    )


def _build_thumbnails(adapters: Adapters, library: Library, jobs: JobService, events: WebhookEvents) -> Thumbnails:
    return Thumbnails(
        store=adapters.storage.store,
        images=adapters.tables.images,
        library=library,
        renderer=adapters.renderer,
        jobs=jobs,
        events=events,
        temp_files=adapters.temp_files,
        clock=adapters.tables.clock,
    )


def _build_library(
    settings: Settings, adapters: Adapters, deletion: ObjectDeletion, events: WebhookEvents, *, secret: str
) -> Library:
    return Library(
        store=adapters.storage.store,
        images=adapters.tables.images,
        deletion=deletion,
        events=events,
        quota=Quota(images=settings.user_quota_images, bytes=settings.user_quota_bytes),
        cursors=Cursors(derive_key(secret, "cursor")),
        clock=adapters.tables.clock,
    )


def _build_uploads(
    settings: Settings, adapters: Adapters, jobs: JobService, events: WebhookEvents, quota: Quota
) -> Uploads:
    return Uploads(
        store=adapters.storage.store,
        images=adapters.tables.images,
        renderer=adapters.renderer,
        inspector=adapters.inspector,
        jobs=jobs,
        events=events,
        metrics=adapters.metrics,
        quota=quota,
        sizes=settings.thumbnail_sizes,
        allowed_content_types=settings.allowed_content_types,
        scans=settings.scan_url is not None,
        strip=_build_strip(settings, adapters),
    )


def _build_strip(settings: Settings, adapters: Adapters) -> Strip | None:
    """Return how originals lose metadata before they are stored, or None if they are stored as they are."""
    if settings.strip_originals == "none":
        return None
    return Strip(adapters.inspector, adapters.temp_files, stripping=Stripping(settings.strip_originals))


def _build_product_images(
    settings: Settings, adapters: Adapters, library: Library, uploads: Uploads, jobs: JobService
) -> ProductImages:
    return ProductImages(
        catalog=adapters.catalog,
        uploads=uploads,
        library=library,
        jobs=jobs,
        temp_files=adapters.temp_files,
        max_bytes=settings.max_file_size,
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


def _build_resumable_uploads(
    settings: Settings, adapters: Adapters, library: Library, direct_uploads: DirectUploads
) -> ResumableUploads:
    return ResumableUploads(
        store=adapters.storage.store,
        parts=adapters.storage.parts,
        table=adapters.tables.direct_uploads,
        library=library,
        direct_uploads=direct_uploads,
        temp_files=adapters.temp_files,
        max_bytes=settings.max_direct_file_size,
        clock=adapters.tables.clock,
    )
