"""Builds the worker, which runs background jobs and periodic work."""

from __future__ import annotations

from app.common.object_deletion import ObjectDeletion
from app.common.upload_expiry import UploadExpiry
from app.common.webhook_events import WebhookEvents
from app.consistency.reconciler import Reconciler
from app.container.adapters import Adapters
from app.jobs.event_dispatch import EventDispatch
from app.jobs.maintenance import Maintenance
from app.jobs.registry import JobRegistry
from app.jobs.runner import JobRunner
from app.jobs.service import JobService
from app.jobs.worker import Worker
from app.settings import Settings


def build_worker(
    settings: Settings,
    adapters: Adapters,
    jobs: JobService,
    registry: JobRegistry,
    reconciler: Reconciler,
    deletion: ObjectDeletion,
    events: WebhookEvents,
) -> Worker:
    tables, queue = adapters.tables, adapters.queue
    runner = JobRunner(
        table=tables.jobs,
        queue=queue,
        registry=registry,
        events=events,
        metrics=adapters.metrics,
        clock=tables.clock,
    )
    maintenance = Maintenance(
        jobs=tables.jobs,
        queue=queue,
        idempotency=tables.idempotency,
        deletion=deletion,
        upload_expiry=UploadExpiry(tables.direct_uploads, adapters.storage.parts, clock=tables.clock),
        event_dispatch=EventDispatch(
            events=tables.events, endpoints=tables.webhook_endpoints, jobs=jobs, clock=tables.clock
        ),
        reconciler=reconciler,
        images=tables.images,
        accounts=tables.accounts,
        owner_index=tables.owner_index,
        clock=tables.clock,
    )
    return Worker(
        queue=queue,
        runner=runner,
        maintenance=maintenance,
        metrics=adapters.metrics,
        queue_is_volatile=settings.queue == "local",
    )
